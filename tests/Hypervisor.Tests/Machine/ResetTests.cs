using System;
using System.Threading;
using Hypervisor.Core.Time;
using Hypervisor.Guest.Code;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Machine;

public sealed class ResetTests
{
    private const uint Hpet = 0xFED0_0000;
    private const uint Go = GuestMemory.Area; // a byte that lets the guest go on

    [Fact]
    public void Reset_that_the_guest_asked_for_when_a_pause_began_is_done_before_the_cut()
    {
        using var clock = new GateClock();
        using var guest = new RunningGuest(clock: clock);
        guest.Boot("", ResettingGuest());
        guest.Machine.Resume();
        int resetsInPause = 0;
        for (int round = 1; round <= 3; round++)
        {
            guest.AwaitText(new string('x', round));
            clock.CloseOnce();
            guest.Machine.Ram.WritableBytes(Go, 1)[0] = 1;
            clock.AwaitCaller(TestContext.Current.CancellationToken);
            clock.Open();
            guest.Machine.Pause(); // the guest is in the last instruction before its reset, and goes on to it

            using RunningGuest standby = new RunningGuest().LoadFrom(guest);
            standby.Machine.Resume();
            standby.Await(() => standby.Console.Text.Length != 0, "the reset");

            // A busy host may have held up another read of the clock than the guest's: then the cut is before the
            // reset, and the standby does it, without a disk to start from. A reset that is lost prints -.
            if (!standby.Console.Text.StartsWith("No bootable drive", System.StringComparison.Ordinal))
            {
                Assert.Equal("x", standby.Console.Text);
                resetsInPause++;
            }

            guest.Machine.Resume();
        }

        Assert.True(resetsInPause > 0, "no pause met a reset");
        guest.AwaitText("xxxx");
        Assert.Equal("xxxx", guest.Console.Text);
    }

    /// <summary>Prints x, waits for a word, reads a clock and resets the machine; prints - when that is lost.</summary>
    private static byte[] ResettingGuest() => GuestProgram.Build(c =>
    {
        var routines = new GuestRoutines(c);
        Label wait = c.CreateLabel();
        Label waitMore = c.CreateLabel();
        routines.InitializeSerial();
        c.mov(__byte_ptr[Go], 0);
        routines.Print("x");
        c.mov(ebx, Hpet);
        c.mov(__dword_ptr[rbx + 0x10], 1); // the counter runs
        c.Label(ref wait);
        c.cmp(__byte_ptr[Go], 0);
        c.je(wait);
        c.mov(rax, __qword_ptr[rbx + 0xF0]);
        c.mov(edx, 0xCF9); // in the block of the read before: the pause's request is not looked at between
        c.mov(al, 0x06);
        c.@out(dx, al);
        c.mov(ecx, 1_000_000);
        c.Label(ref waitMore);
        c.dec(ecx);
        c.jnz(waitMore);
        routines.Print("-");
        c.hlt();
        routines.Emit();
    });

    /// <summary>Host time that can hold up a vCPU which reads it.</summary>
    private sealed class GateClock : IHostClock, IDisposable
    {
        private const int HoldMillis = 50;
        private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(1);

        private readonly HostClock _clock = new();
        private readonly SemaphoreSlim _reached = new(0);
        private readonly SemaphoreSlim _go = new(0);
        private int _isClosed;

        public long NowNanos
        {
            get
            {
                bool isVcpu = Thread.CurrentThread.Name?.Contains("vCPU", StringComparison.Ordinal) ?? false;
                if (isVcpu && Interlocked.Exchange(ref _isClosed, 0) == 1) // pairs with CloseOnce
                {
                    using var never = new ManualResetEventSlim();
                    _reached.Release();
                    _ = _go.Wait(s_patience);
                    never.Wait(HoldMillis); // the time to ask for a pause
                }

                return _clock.NowNanos;
            }
        }

        public void CloseOnce() => Volatile.Write(ref _isClosed, 1); // pairs with the exchange above

        public void AwaitCaller(CancellationToken cancellation) => _reached.Wait(cancellation);

        public void Open() => _go.Release();

        public void Dispose()
        {
            _reached.Dispose();
            _go.Dispose();
        }
    }
}
