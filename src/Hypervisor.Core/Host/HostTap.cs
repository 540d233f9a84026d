using System;
using System.ComponentModel;
using System.Runtime.InteropServices;
using System.Text;

namespace Hypervisor.Core.Host;

/// <summary>One queue of a TAP interface, with a virtio-net header of 12 bytes before each frame.</summary>
/// <remarks>Spec: Linux Documentation/networking/tuntap.rst, include/uapi/linux/if_tun.h.</remarks>
public sealed unsafe partial class HostTap : IDisposable
{
    /// <summary>Longest name of an interface, in bytes.</summary>
    public const int NameBytesMax = 15;

    /// <summary>The device that makes TAP interfaces.</summary>
    public const string DevicePath = "/dev/net/tun";

    private const int OpenReadWrite = 2, OpenNonBlocking = 0x800, OpenCloseOnExec = 0x8_0000;
    private const nuint SetInterface = 0x4004_54CA, SetOffload = 0x4004_54D0, SetHeaderSize = 0x4004_54D8;
    private const nuint SetQueue = 0x4004_54D9;
    private const short Tap = 0x0002, MultiQueue = 0x0100, NoPacketInfo = 0x1000, HasHeader = 0x4000;
    private const short AttachQueue = 0x0200, DetachQueue = 0x0400;
    private const int InterfaceRequestBytes = 40, FlagsOffset = 16;
    private const int HeaderBytes = 12;
    private const int InvalidArgument = 22, Interrupted = 4;

    private readonly HostEvent _ending = new();
    private readonly int _file;

    private HostTap(int file) => _file = file;

    /// <summary>
    /// Opens queues of one interface; it is made when it does not exist, and goes with its last queue.
    /// </summary>
    /// <exception cref="HostException">No such device, no right to it, or the interface is in use.</exception>
    public static HostTap[] Open(string name, int queueCount)
    {
        var queues = new HostTap[queueCount];
        for (int i = 0; i < queueCount; i++)
        {
            try
            {
                queues[i] = OpenQueue(name, queueCount > 1);
            }
            catch (HostException)
            {
                Array.ForEach(queues, queue => queue?.Dispose());
                throw;
            }
        }

        return queues;
    }

    /// <summary>Says which frames with work left to do (TUN_F_…) may be read.</summary>
    public void SetOffloads(uint offloads)
        => _ = Control(_file, SetOffload, (void*)offloads); // refused by old kernels: then no such frame comes

    /// <summary>Takes the queue out of use, or into it: only queues in use get frames.</summary>
    public void SetInUse(bool isInUse)
    {
        byte* request = stackalloc byte[InterfaceRequestBytes];
        new Span<byte>(request, InterfaceRequestBytes).Clear();
        *(short*)(request + FlagsOffset) = isInUse ? AttachQueue : DetachQueue;
        _ = Control(_file, SetQueue, request); // fails when it is so already
    }

    /// <summary>Waits for a frame and reads it with its header.</summary>
    /// <returns>Bytes read; 0 when there was none after all; -1 once <see cref="Stop"/> was called.</returns>
    public int Read(Span<byte> target)
    {
        if (!_ending.WaitOr(_file))
        {
            return -1;
        }

        return Math.Max(0, TryRead(target));
    }

    /// <summary>Reads a frame if one is there. Negative: none is.</summary>
    public int TryRead(Span<byte> target)
    {
        fixed (byte* bytes = target)
        {
            return (int)ReadFile(_file, bytes, (nuint)target.Length);
        }
    }

    /// <summary>Writes a frame with its header; one that the kernel does not take is lost, as on a wire.</summary>
    public void Write(ReadOnlySpan<byte> frame)
    {
        fixed (byte* bytes = frame)
        {
            while (WriteFile(_file, bytes, (nuint)frame.Length) < 0 && Marshal.GetLastPInvokeError() == Interrupted)
            {
                // A signal came first.
            }
        }
    }

    /// <summary>Wakes the thread that waits in <see cref="Read"/>, for good.</summary>
    public void Stop() => _ending.Set();

    /// <inheritdoc/>
    public void Dispose()
    {
        _ = Close(_file);
        _ending.Dispose();
    }

    private static HostTap OpenQueue(string name, bool isMultiQueue)
    {
        int file = OpenFile(DevicePath, OpenReadWrite | OpenNonBlocking | OpenCloseOnExec);
        if (file < 0)
        {
            throw new HostException($"{DevicePath}: {LastError()}; allowed: where it is and may be opened");
        }

        int error = Attach(file, name, isMultiQueue);
        if (error == InvalidArgument && !isMultiQueue)
        {
            error = Attach(file, name, isMultiQueue: true); // made by somebody for several queues
        }

        int headerBytes = HeaderBytes;
        if (error == 0 && Control(file, SetHeaderSize, &headerBytes) != 0)
        {
            error = Marshal.GetLastPInvokeError();
        }

        if (error != 0)
        {
            _ = Close(file);
            throw new HostException($"TAP interface {name}: {new Win32Exception(error).Message}; "
                + "allowed: one that nobody uses and that is yours, or a new one with CAP_NET_ADMIN");
        }

        try
        {
            return new HostTap(file);
        }
        catch (HostException)
        {
            _ = Close(file); // no descriptor was left for its event
            throw;
        }
    }

    // struct ifreq: name 16 bytes | flags i16 | unused up to 40 bytes.
    private static int Attach(int file, string name, bool isMultiQueue)
    {
        byte* request = stackalloc byte[InterfaceRequestBytes];
        var bytes = new Span<byte>(request, InterfaceRequestBytes);
        bytes.Clear();
        Check.That(Encoding.UTF8.GetByteCount(name) is > 0 and <= NameBytesMax);
        Encoding.UTF8.GetBytes(name, bytes);
        int flags = Tap | NoPacketInfo | HasHeader | (isMultiQueue ? MultiQueue : 0);
        *(short*)(request + FlagsOffset) = (short)flags;
        return Control(file, SetInterface, request) == 0 ? 0 : Marshal.GetLastPInvokeError();
    }

    private static string LastError() => new Win32Exception(Marshal.GetLastPInvokeError()).Message;

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int OpenFile(string path, int flags);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Control(int file, nuint request, void* argument);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    private static partial nint ReadFile(int file, void* target, nuint count);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    private static partial nint WriteFile(int file, void* source, nuint count);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int file);
}
