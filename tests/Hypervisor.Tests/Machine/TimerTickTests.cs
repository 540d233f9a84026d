using System.Threading;
using Hypervisor.Core.Time;
using Hypervisor.Guest.Code;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Machine;

public sealed class TimerTickTests
{
    private const byte Vector = 0x20;
    private const uint Ticks = GuestMemory.Area;
    private const int TicksWanted = 1_000;
    private const int MillisBehind = 20; // a tick is under way now and then

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void Guest_that_counts_timer_interrupts_loses_none_when_host_time_jumps(bool usesHpet, bool usesIoApic)
    {
        var clock = new JumpingClock();
        using var guest = new RunningGuest(clock: clock);
        guest.Boot("", CountingGuest(usesHpet, usesIoApic));
        guest.Machine.Resume();
        guest.AwaitText("ready");
        for (int i = 0; i < 4; i++)
        {
            clock.Jump(200_000_000);
            guest.AwaitText(new string('.', i + 1));
        }

        // It comes when the ticks have caught up with the TSC. With those of the jumps lost they never would: however
        // late a busy host runs the guest, it only takes longer.
        guest.AwaitText("end");
    }

    /// <summary>Counts a thousand ticks and more, until they are as many as the TSC's milliseconds.</summary>
    private static byte[] CountingGuest(bool usesHpet, bool usesIoApic) => GuestProgram.Build(c =>
    {
        var routines = new GuestRoutines(c);
        var interrupts = new InterruptRoutines(c, routines);
        Label handler = c.CreateLabel();
        Label wait = c.CreateLabel();
        Label next = c.CreateLabel();
        routines.InitializeSerial();
        interrupts.Initialize();
        interrupts.SetGate(Vector, handler);
        c.mov(__qword_ptr[Ticks], 0);
        if (usesIoApic)
        {
            RouteToIoApic(c);
        }
        else
        {
            RouteToPic(c);
        }

        if (usesHpet)
        {
            StartHpet(c);
        }
        else
        {
            StartPit(c);
        }

        ReadTsc(c);
        c.mov(r12, rax);
        c.mov(__qword_ptr[Ticks], 0);
        routines.Print("ready"); // from now on the host's time may jump
        c.mov(ebp, 150);
        c.Label(ref wait);
        c.cmp(__qword_ptr[Ticks], rbp);
        c.jb(wait);
        routines.Print(".");
        c.add(ebp, 200);
        c.cmp(ebp, TicksWanted);
        c.jb(wait);
        c.Label(ref next);
        ReadTsc(c);
        c.sub(rax, r12);
        c.xor(edx, edx);
        c.mov(ecx, 1_000_000);
        c.div(rcx);
        c.sub(rax, MillisBehind);
        c.cmp(__qword_ptr[Ticks], rax);
        c.jb(next);
        routines.Print("end");
        routines.End(0);
        c.Label(ref handler);
        c.push(rax);
        c.inc(__qword_ptr[Ticks]);
        if (usesIoApic)
        {
            c.mov(__dword_ptr[r15 + 0xB0], 0);
        }
        else
        {
            c.mov(al, 0x20);
            c.@out(0x20, al);
        }

        c.pop(rax);
        c.iretq();
        routines.Emit();
        interrupts.Emit();
    });

    private static void ReadTsc(Assembler c)
    {
        c.rdtsc();
        c.shl(rdx, 32);
        c.or(rax, rdx);
    }

    // Pin 2: edge, fixed, to APIC 0.
    private static void RouteToIoApic(Assembler c)
    {
        c.mov(ebx, 0xFEC0_0000);
        c.mov(__dword_ptr[rbx], 0x14);
        c.mov(__dword_ptr[rbx + 0x10], Vector);
    }

    private static void RouteToPic(Assembler c)
    {
        (byte Port, byte Value)[] writes = [(0x20, 0x11), (0x21, Vector), (0x21, 0x04), (0x21, 0x01), (0x21, 0xFE)];
        foreach ((byte port, byte value) in writes)
        {
            c.mov(al, unchecked((sbyte)value));
            c.@out(port, al);
        }

        c.mov(__dword_ptr[r15 + 0x350], 0x700); // LINT0: ExtINT
    }

    private static void StartPit(Assembler c)
    {
        (byte Port, byte Value)[] writes = [(0x43, 0x34), (0x40, 0xA9), (0x40, 0x04)]; // mode 2, 1193
        foreach ((byte port, byte value) in writes)
        {
            c.mov(al, unchecked((sbyte)value));
            c.@out(port, al);
        }
    }

    // Legacy replacement, comparator 0 periodic and of 32 bits.
    private static void StartHpet(Assembler c)
    {
        c.mov(ebx, 0xFED0_0000);
        c.mov(__dword_ptr[rbx + 0x100], 0x14C);
        c.mov(__dword_ptr[rbx + 0x108], 100_000);
        c.mov(__dword_ptr[rbx + 0x10], 3);
    }

    /// <summary>Host time that jumps ahead, as when the event loop's thread was not run for a while.</summary>
    private sealed class JumpingClock : IHostClock
    {
        private readonly HostClock _clock = new();
        private long _ahead;

        public long NowNanos => _clock.NowNanos + Interlocked.Read(ref _ahead); // pairs with Jump

        public void Jump(long nanos) => Interlocked.Add(ref _ahead, nanos); // pairs with NowNanos
    }
}
