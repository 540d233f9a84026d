using Hypervisor.Core.Host;
using Microsoft.Win32.SafeHandles;

namespace Hypervisor.Backends.Block.Images;

/// <summary>
/// Keeps two writers, or a writer and a reader, off one image: the same locks as QEMU's, so it counts too.
/// </summary>
/// <remarks>
/// Open-file-description locks on single bytes, as QEMU's file-posix driver places them. Byte 100 + n: "I use
/// permission n"; byte 200 + n: "nobody else may use permission n". Permission 0 is reading, 1 is writing. The locks
/// are shared ones; a conflict shows by asking who else holds the opposite byte. They end with the file handle, but who
/// closes it releases them first: a child that another thread has just forked, and that has not yet begun its own
/// program, still holds the same open file.
/// </remarks>
internal static class ImageLock
{
    private const string Allowed = "allowed is one writer, or any number of readers";
    private const long UsesRead = 100, UsesWrite = 101, ForbidsRead = 200, ForbidsWrite = 201;

    /// <summary>Gives the image up, and leaves it open.</summary>
    public static void Release(SafeFileHandle file)
    {
        HostFile.UnlockByte(file, UsesRead);
        HostFile.UnlockByte(file, UsesWrite);
        HostFile.UnlockByte(file, ForbidsWrite);
    }

    /// <summary>Locks the image for a writer, or for one of several readers.</summary>
    /// <exception cref="BlockImageException">Somebody else has it, in a way that excludes this use.</exception>
    public static void Take(SafeFileHandle file, string path, bool isWriter)
    {
        // First place our own, then look for others: two that start at once both see each other and both fail.
        HostFile.LockByte(file, UsesRead);
        HostFile.LockByte(file, ForbidsWrite);
        if (isWriter)
        {
            HostFile.LockByte(file, UsesWrite);
        }

        if (HostFile.IsByteLockedElsewhere(file, UsesWrite) || HostFile.IsByteLockedElsewhere(file, ForbidsRead))
        {
            Release(file);
            throw new BlockImageException(
                $"{path}: in use by another instance that writes to it; {Allowed}");
        }

        if (isWriter && HostFile.IsByteLockedElsewhere(file, ForbidsWrite))
        {
            Release(file);
            throw new BlockImageException(
                $"{path}: in use by another instance that reads it; {Allowed}");
        }
    }
}
