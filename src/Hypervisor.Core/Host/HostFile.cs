using System;
using System.Buffers.Binary;
using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Hypervisor.Core.Host;

/// <summary>Opening and shaping of image files: what the BCL has no call for.</summary>
/// <remarks>Spec: Linux open(2), statx(2), fallocate(2), fdatasync(2), fcntl(2).</remarks>
public static unsafe partial class HostFile
{
    private const int ReadOnlyFlag = 0, ReadWriteFlag = 2, DirectFlag = 0x4000, CloseOnExecFlag = 0x8_0000;
    private const int InterruptedError = 4, InvalidError = 22, NoDeviceSupport = 25, NotSupportedError = 95;
    private const int NoSystemCall = 38;
    private const int KeepSize = 1, PunchHole = 2, ZeroRange = 16;
    private const int SeekSet = 0, SeekEnd = 2;
    private const int AtEmptyPath = 0x1000;
    private const uint StatBasic = 0x7FF, StatDirectAlignment = 0x2000;
    private const int StatBytes = 256;
    private const int DirectAlignmentFallback = 4096; // enough for every disk that is sold
    private const int GetLockCommand = 36, SetLockCommand = 37; // F_OFD_GETLK, F_OFD_SETLK
    private const short ReadLock = 0, WriteLock = 1, Unlocked = 2;

    /// <summary>Opens an existing file.</summary>
    /// <param name="path">Name in the host's file system.</param>
    /// <param name="isWritable">Open for writing too.</param>
    /// <param name="isDirect">Bypass the host's page cache (O_DIRECT); buffers must then be aligned.</param>
    /// <exception cref="HostException">Missing, forbidden, or no O_DIRECT on that file system.</exception>
    public static SafeFileHandle Open(string path, bool isWritable, bool isDirect)
    {
        int flags = (isWritable ? ReadWriteFlag : ReadOnlyFlag) | (isDirect ? DirectFlag : 0) | CloseOnExecFlag;
        int file;
        do
        {
            file = OpenFile(path, flags, 0);
        }
        while (file < 0 && Marshal.GetLastPInvokeError() == InterruptedError);

        if (file >= 0)
        {
            return new SafeFileHandle(file, ownsHandle: true);
        }

        string reason = isDirect && Marshal.GetLastPInvokeError() == InvalidError
            ? "its file system does not do O_DIRECT"
            : LastError();
        throw new HostException(reason);
    }

    /// <summary>Asks the host about an open file.</summary>
    /// <exception cref="HostException">The host can't tell.</exception>
    public static HostFileFacts Inspect(SafeFileHandle file)
    {
        byte* buffer = stackalloc byte[StatBytes];
        new Span<byte>(buffer, StatBytes).Clear();
        if (Statx(file, string.Empty, AtEmptyPath, StatBasic | StatDirectAlignment, buffer) != 0)
        {
            throw new HostException(LastError());
        }

        // struct statx: mask u32 @0 | mode u16 @28 | size u64 @40 | blocks u64 @48 | dio_mem u32 @152 | dio_offset
        // u32 @156
        var stat = new ReadOnlySpan<byte>(buffer, StatBytes);
        HostFileKind kind = (BinaryPrimitives.ReadUInt16LittleEndian(stat[28..]) & 0xF000) switch
        {
            0x8000 => HostFileKind.Regular,
            0x6000 => HostFileKind.BlockDevice,
            _ => HostFileKind.Other,
        };
        long length = BinaryPrimitives.ReadInt64LittleEndian(stat[40..]);
        if (kind == HostFileKind.BlockDevice)
        {
            length = Seek(file, 0, SeekEnd); // stat says 0 for a disk
            Check.That(length >= 0);
        }

        uint alignment = Math.Max(
            BinaryPrimitives.ReadUInt32LittleEndian(stat[152..]), BinaryPrimitives.ReadUInt32LittleEndian(stat[156..]));
        bool isKnown = (BinaryPrimitives.ReadUInt32LittleEndian(stat) & StatDirectAlignment) != 0 && alignment != 0;
        return new HostFileFacts(
            length,
            BinaryPrimitives.ReadInt64LittleEndian(stat[48..]) * 512,
            kind,
            isKnown ? (int)alignment : DirectAlignmentFallback);
    }

    /// <summary>Makes data durable, and of metadata what is needed to read it back.</summary>
    /// <exception cref="HostException">The host lost writes.</exception>
    public static void Flush(SafeFileHandle file)
    {
        if (DataSync(file) != 0)
        {
            throw new HostException(LastError());
        }
    }

    /// <summary>Gives the storage of a range back; it reads as zero then. False when the file system can't.</summary>
    /// <exception cref="HostException">The host failed.</exception>
    public static bool TryPunchHole(SafeFileHandle file, long offsetBytes, long lengthBytes)
        => TryAllocate(file, PunchHole | KeepSize, offsetBytes, lengthBytes);

    /// <summary>Zeroes a range and keeps its storage. False when the file system can't.</summary>
    /// <exception cref="HostException">The host failed.</exception>
    public static bool TryZeroRange(SafeFileHandle file, long offsetBytes, long lengthBytes)
        => TryAllocate(file, ZeroRange | KeepSize, offsetBytes, lengthBytes);

    /// <summary>Takes a shared lock on one byte of the file for this open description, without waiting.</summary>
    /// <exception cref="HostException">The host failed, or somebody holds the byte exclusively.</exception>
    public static void LockByte(SafeFileHandle file, long offsetBytes)
    {
        var request = new LockRequest { Type = ReadLock, Whence = SeekSet, StartBytes = offsetBytes, LengthBytes = 1 };
        if (ControlFile(file, SetLockCommand, &request) != 0)
        {
            throw new HostException(LastError());
        }
    }

    /// <summary>Gives up a lock on one byte of the file; none there: nothing happens.</summary>
    /// <exception cref="HostException">The host failed.</exception>
    public static void UnlockByte(SafeFileHandle file, long offsetBytes)
    {
        var request = new LockRequest { Type = Unlocked, Whence = SeekSet, StartBytes = offsetBytes, LengthBytes = 1 };
        if (ControlFile(file, SetLockCommand, &request) != 0)
        {
            throw new HostException(LastError());
        }
    }

    /// <summary>Whether another open description, here or in another process, holds a lock on the byte.</summary>
    /// <exception cref="HostException">The host failed.</exception>
    public static bool IsByteLockedElsewhere(SafeFileHandle file, long offsetBytes)
    {
        var request = new LockRequest { Type = WriteLock, Whence = SeekSet, StartBytes = offsetBytes, LengthBytes = 1 };
        return ControlFile(file, GetLockCommand, &request) == 0
            ? request.Type != Unlocked
            : throw new HostException(LastError());
    }

    /// <summary>A zeroed buffer whose first byte is aligned to a power of two, and that never moves.</summary>
    public static Memory<byte> AllocateAligned(int lengthBytes, int alignment)
    {
        Check.That(alignment > 0 && (alignment & (alignment - 1)) == 0);
        byte[] array = GC.AllocateArray<byte>(lengthBytes + alignment, pinned: true);
        nint address = Marshal.UnsafeAddrOfPinnedArrayElement(array, 0);
        int skip = (int)(-address & (alignment - 1));
        return array.AsMemory(skip, lengthBytes);
    }

    /// <summary>Whether the first byte lies on a multiple of <paramref name="alignment"/>, a power of two.</summary>
    /// <remarks>An answer about movable memory holds only while it is pinned; callers pass pinned buffers.</remarks>
    public static bool IsAligned(ReadOnlySpan<byte> bytes, int alignment)
    {
        fixed (byte* first = bytes)
        {
            return ((nint)first & (alignment - 1)) == 0;
        }
    }

    private static bool TryAllocate(SafeFileHandle file, int mode, long offsetBytes, long lengthBytes)
    {
        while (Allocate(file, mode, offsetBytes, lengthBytes) != 0)
        {
            int error = Marshal.GetLastPInvokeError();
            if (error is NotSupportedError or NoSystemCall or NoDeviceSupport or InvalidError)
            {
                return false;
            }

            if (error != InterruptedError)
            {
                throw new HostException(LastError());
            }
        }

        return true;
    }

    private static string LastError() => new Win32Exception(Marshal.GetLastPInvokeError()).Message;

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int OpenFile(string path, int flags, int mode);

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Statx(SafeFileHandle file, string path, int flags, uint mask, byte* target);

    [LibraryImport("libc", EntryPoint = "lseek", SetLastError = true)]
    private static partial long Seek(SafeFileHandle file, long offset, int origin);

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    private static partial int DataSync(SafeFileHandle file);

    [LibraryImport("libc", EntryPoint = "fallocate", SetLastError = true)]
    private static partial int Allocate(SafeFileHandle file, int mode, long offset, long length);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int ControlFile(SafeFileHandle file, int command, LockRequest* request);

    /// <summary>struct flock of x86-64.</summary>
    private struct LockRequest
    {
        public short Type;
        public short Whence;
        public long StartBytes;
        public long LengthBytes;
        public int ProcessId;
    }
}
