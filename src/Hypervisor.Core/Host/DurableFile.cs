using System;
using System.ComponentModel;
using System.IO;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Hypervisor.Core.Host;

/// <summary>
/// Small files that must survive a power loss, old or new content, never a mixture. Spec: rename(2), fsync(2).
/// </summary>
public static partial class DurableFile
{
    private const int ReadOnly = 0, Directory = 0x1_0000, CloseOnExec = 0x8_0000;
    private const int LockExclusive = 2, LockNoWait = 4;

    /// <summary>Replaces the file's content; on return the new content is durable under its name.</summary>
    /// <exception cref="IOException">The host refuses; the old content is still there.</exception>
    public static void Replace(string path, ReadOnlySpan<byte> content)
    {
        string temporary = path + ".new";
        using (SafeFileHandle file = File.OpenHandle(temporary, FileMode.Create, FileAccess.Write))
        {
            RandomAccess.Write(file, content, 0);
            RandomAccess.FlushToDisk(file);
        }

        File.Move(temporary, path, overwrite: true);
        SyncDirectoryOf(path);
    }

    /// <summary>Makes the names in the directory of <paramref name="path"/> durable.</summary>
    /// <exception cref="IOException">The host refuses.</exception>
    public static void SyncDirectoryOf(string path)
    {
        string directory = Path.GetDirectoryName(Path.GetFullPath(path))!;
        int file = Open(directory, ReadOnly | Directory | CloseOnExec);
        bool isSynced = file >= 0 && Sync(file) == 0;
        string? failure = isSynced ? null : new Win32Exception(Marshal.GetLastPInvokeError()).Message;
        if (file >= 0)
        {
            _ = Close(file);
        }

        if (failure is not null)
        {
            throw new IOException($"cannot make directory {directory} durable: {failure}");
        }
    }

    /// <summary>
    /// Takes the exclusive lock of an open file, until the handle is closed. False while another has it.
    /// </summary>
    public static bool TryLock(SafeFileHandle file)
    {
        ArgumentNullException.ThrowIfNull(file);
        return Flock(file, LockExclusive | LockNoWait) == 0;
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Sync(int file);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(int file);

    [LibraryImport("libc", EntryPoint = "flock", SetLastError = true)]
    private static partial int Flock(SafeFileHandle file, int operation);
}
