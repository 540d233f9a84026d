using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Hypervisor.Core.Host;

/// <summary>Mappings of host memory. Spec: Linux mmap(2), mremap(2), memfd_create(2).</summary>
public static unsafe partial class HostMemory
{
    private const int ProtectRead = 1, ProtectWrite = 2, ProtectExecute = 4;
    private const int MapShared = 0x01, MapPrivate = 0x02, MapAnonymous = 0x20, MapNoReserve = 0x4000;
    private const uint CloseOnExec = 1;
    private const int MayMove = 1;
    private const int AdviseDontNeed = 4, AdviseRemove = 9;
    private const int SeekData = 3;
    private static readonly void* s_failed = (void*)-1;

    /// <summary>Maps zeroed memory that other mappings of this process can share; freed by <see
    /// cref="Unmap"/>.</summary>
    /// <param name="name">What the host calls it.</param>
    /// <param name="lengthBytes">How much.</param>
    /// <param name="file">The memory as a file, for <see cref="HasMemory"/>; the caller disposes it.</param>
    /// <exception cref="HostException">No memory or no address space.</exception>
    public static byte* MapSharedMemory(string name, long lengthBytes, out SafeFileHandle file)
    {
        int descriptor = CreateFile(name, lengthBytes);
        file = new SafeFileHandle(descriptor, ownsHandle: true);
        void* address = Map(
            null, (nuint)lengthBytes, ProtectRead | ProtectWrite, MapShared | MapNoReserve, descriptor, 0);
        if (address == s_failed)
        {
            string failure = LastError();
            file.Dispose();
            throw new HostException($"cannot map {lengthBytes} bytes for {name}: {failure}");
        }

        return (byte*)address;
    }

    /// <summary>Gives whole pages of shared memory back to the host: they read as zero. False: it would not.</summary>
    public static bool TryReleaseShared(byte* address, long lengthBytes)
        => Advise(address, (nuint)lengthBytes, AdviseRemove) == 0;

    /// <summary>Gives whole pages of private memory back to the host: they read as zero. False: it would not.</summary>
    public static bool TryReleasePrivate(byte* address, long lengthBytes)
        => Advise(address, (nuint)lengthBytes, AdviseDontNeed) == 0;

    /// <summary>
    /// Whether the host keeps anything for a range of shared memory, swapped out or not; when it does not, the range
    /// reads as zero, and reading it through the mapping would cost memory. Spec: Linux lseek(2), SEEK_DATA.
    /// </summary>
    public static bool HasMemory(SafeFileHandle file, long offset, long lengthBytes)
    {
        long first = Seek((int)file.DangerousGetHandle(), offset, SeekData);
        return first >= 0 && first - offset < lengthBytes; // an error says that no data follows
    }

    /// <summary>Maps private zeroed memory.</summary>
    /// <exception cref="HostException">No memory or no address space.</exception>
    public static byte* MapPrivateMemory(long lengthBytes)
    {
        void* address = Map(
            null, (nuint)lengthBytes, ProtectRead | ProtectWrite, MapPrivate | MapAnonymous | MapNoReserve, -1, 0);
        return address != s_failed
            ? (byte*)address
            : throw new HostException($"cannot map {lengthBytes} bytes: {LastError()}");
    }

    /// <summary>Maps the same memory twice, to write code through one view and run it through the other.</summary>
    /// <remarks>
    /// Neither view is ever writable and executable (W^X). It has no file, because perf takes the names of code in a
    /// file from that. Spec: Linux mremap(2), an old size of 0 maps shared pages once more.
    /// </remarks>
    /// <exception cref="HostException">No memory, or executable mappings are forbidden here.</exception>
    public static void MapCode(long lengthBytes, out byte* writeView, out byte* executeView)
    {
        nuint length = (nuint)lengthBytes;
        void* write = Map(null, length, ProtectRead | ProtectWrite, MapShared | MapAnonymous | MapNoReserve, -1, 0);
        void* execute = write == s_failed ? s_failed : Remap(write, 0, length, MayMove, null);
        if (execute == s_failed || Protect(execute, length, ProtectRead | ProtectExecute) != 0)
        {
            throw new HostException($"cannot map {lengthBytes} bytes of code memory: {LastError()}");
        }

        writeView = (byte*)write;
        executeView = (byte*)execute;
    }

    /// <summary>Releases a mapping made here.</summary>
    public static void Unmap(byte* address, long lengthBytes)
        => Check.That(UnmapPages(address, (nuint)lengthBytes) == 0);

    private static int CreateFile(string name, long lengthBytes)
    {
        int file = MemfdCreate(name, CloseOnExec);
        if (file < 0)
        {
            throw new HostException($"cannot create memory file {name}: {LastError()}");
        }

        if (Truncate(file, lengthBytes) != 0)
        {
            string failure = LastError();
            _ = Close(file);
            throw new HostException($"cannot size memory file {name} to {lengthBytes} bytes: {failure}");
        }

        return file;
    }

    private static string LastError() => new Win32Exception(Marshal.GetLastPInvokeError()).Message;

    [LibraryImport(
        "libc", EntryPoint = "memfd_create", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int MemfdCreate(string name, uint flags);

    [LibraryImport("libc", EntryPoint = "ftruncate", SetLastError = true)]
    private static partial int Truncate(int file, long lengthBytes);

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial void* Map(void* hint, nuint lengthBytes, int protection, int flags, int file, long offset);

    [LibraryImport("libc", EntryPoint = "mremap", SetLastError = true)]
    private static partial void* Remap(void* old, nuint oldBytes, nuint newBytes, int flags, void* hint);

    [LibraryImport("libc", EntryPoint = "mprotect", SetLastError = true)]
    private static partial int Protect(void* address, nuint lengthBytes, int protection);

    [LibraryImport("libc", EntryPoint = "madvise", SetLastError = true)]
    private static partial int Advise(void* address, nuint lengthBytes, int advice);

    [LibraryImport("libc", EntryPoint = "lseek")]
    private static partial long Seek(int file, long offset, int whence);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    private static partial int UnmapPages(void* address, nuint lengthBytes);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(int file);
}
