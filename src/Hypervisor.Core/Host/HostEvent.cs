using System;
using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Hypervisor.Core.Host;

/// <summary>
/// A flag that one thread waits for, with a timeout in nanoseconds. Spec: Linux eventfd(2), ppoll(2).
/// </summary>
/// <remarks>.NET's own waits round a timeout to milliseconds, which a guest's timers would notice.</remarks>
public sealed unsafe partial class HostEvent : IDisposable
{
    private const int CloseOnExec = 0x8_0000, NonBlocking = 0x800;
    private const short PollIn = 1;
    private const int SetTimerSlack = 29;

    private readonly int _file;

    /// <summary>Creates it unset.</summary>
    /// <exception cref="HostException">No file descriptor left.</exception>
    public HostEvent()
    {
        _file = EventFd(0, CloseOnExec | NonBlocking);
        if (_file < 0)
        {
            string failure = new Win32Exception(Marshal.GetLastPInvokeError()).Message;
            throw new HostException($"cannot create an event: {failure}");
        }
    }

    /// <summary>Sets the flag and wakes the waiting thread. Any thread.</summary>
    public void Set()
    {
        ulong one = 1;
        _ = Write(_file, &one, sizeof(ulong)); // fails only when the counter is full, and then it is set
    }

    /// <summary>Waits until the flag is set or <paramref name="nanos"/> passed, and clears it.</summary>
    public void Wait(long nanos)
    {
        var poll = new PollFile { File = _file, Events = PollIn };
        var timeout = new TimeSpec { Seconds = nanos / 1_000_000_000, Nanos = nanos % 1_000_000_000 };
        if (Poll(&poll, 1, nanos == long.MaxValue ? null : &timeout, null) > 0)
        {
            ulong count;
            _ = Read(_file, &count, sizeof(ulong));
        }
    }

    /// <summary>
    /// Lets the waits of the calling thread end when they should, not up to 50 µs later. Spec: Linux prctl(2).
    /// </summary>
    public static void WakeThisThreadOnTime() => _ = ControlProcess(SetTimerSlack, nanos: 1, 0, 0, 0);

    /// <summary>Waits until a file can be read, or the flag is set, which stays so.</summary>
    /// <remarks>A file of no more use (its interface was deleted) is not waited for: only the flag is.</remarks>
    /// <returns>False when the flag is set.</returns>
    internal bool WaitOr(int file)
    {
        PollFile* files = stackalloc PollFile[2];
        files[0] = new PollFile { File = file, Events = PollIn };
        files[1] = new PollFile { File = _file, Events = PollIn };
        while (true)
        {
            if (Poll(files, 2, null, null) <= 0)
            {
                continue; // a signal came first
            }

            if (files[1].Returned != 0)
            {
                return false;
            }

            if ((files[0].Returned & PollIn) != 0)
            {
                return true;
            }

            files[0].File = -1; // an error, which would be told again and again: ppoll ignores the file from now on
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _ = Close(_file);

    [LibraryImport("libc", EntryPoint = "eventfd", SetLastError = true)]
    private static partial int EventFd(uint initial, int flags);

    [LibraryImport("libc", EntryPoint = "write")]
    private static partial nint Write(int file, void* source, nuint count);

    [LibraryImport("libc", EntryPoint = "read")]
    private static partial nint Read(int file, void* target, nuint count);

    [LibraryImport("libc", EntryPoint = "ppoll")]
    private static partial int Poll(PollFile* files, ulong count, TimeSpec* timeout, void* signalMask);

    [LibraryImport("libc", EntryPoint = "prctl")]
    private static partial int ControlProcess(int option, ulong nanos, ulong third, ulong fourth, ulong fifth);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int file);

    [StructLayout(LayoutKind.Sequential)]
    private struct PollFile
    {
        public int File;
        public short Events;
        public short Returned;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct TimeSpec
    {
        public long Seconds;
        public long Nanos;
    }
}
