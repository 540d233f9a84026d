using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Hypervisor.Core.Host;

/// <summary>Signals to other processes. Spec: POSIX kill(2).</summary>
public static partial class HostProcess
{
    private const int SigTerm = 15;
    private const int NoSuchProcess = 3; // ESRCH

    /// <summary>Asks a process of ours to end; one that has ended already is fine.</summary>
    /// <exception cref="HostException">The process belongs to somebody else.</exception>
    public static void RequestEnd(int processId)
    {
        Check.That(processId > 1); // 0 and negative numbers would reach whole groups
        if (SendSignal(processId, SigTerm) != 0 && Marshal.GetLastPInvokeError() != NoSuchProcess)
        {
            string reason = new Win32Exception(Marshal.GetLastPInvokeError()).Message;
            throw new HostException($"cannot ask process {processId} to end: {reason}");
        }
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int SendSignal(int processId, int signal);
}
