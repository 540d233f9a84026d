using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Hypervisor.Core.Host;

/// <summary>Two connected stream sockets, one of them for a child process. Spec: Linux socketpair(2).</summary>
public static unsafe partial class HostSocketPair
{
    private const int Unix = 1, Stream = 1, CloseOnExec = 0x8_0000;
    private const int SetDescriptorFlags = 2; // F_SETFD; 0 keeps it open in a child

    /// <summary>Makes a pair of descriptors; the caller closes both.</summary>
    /// <param name="ours">Stays in this process.</param>
    /// <param name="childs">Stays open in a program that this process starts.</param>
    /// <exception cref="HostException">No descriptor left.</exception>
    public static void Create(out int ours, out int childs)
    {
        int* pair = stackalloc int[2];
        if (MakePair(Unix, Stream | CloseOnExec, 0, pair) != 0)
        {
            throw Failure();
        }

        if (Control(pair[1], SetDescriptorFlags, 0) != 0)
        {
            HostException failure = Failure();
            Close(pair[0]);
            Close(pair[1]);
            throw failure;
        }

        ours = pair[0];
        childs = pair[1];
    }

    /// <summary>Closes one of the two.</summary>
    public static void Close(int descriptor) => _ = CloseFile(descriptor);

    private static HostException Failure()
        => new($"cannot create a pair of sockets: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}");

    [LibraryImport("libc", EntryPoint = "socketpair", SetLastError = true)]
    private static partial int MakePair(int domain, int type, int protocol, int* pair);

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int Control(int file, int command, int argument);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int CloseFile(int file);
}
