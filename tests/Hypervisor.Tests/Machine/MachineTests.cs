using System;
using System.IO;
using System.Linq;
using System.Threading;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Console;
using Hypervisor.Core.Time;
using Hypervisor.Guest;
using Hypervisor.Guest.Code;
using Hypervisor.TestKit;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Machine;

/// <summary>
/// The rules that only a whole machine can keep. Two machines run in one process: one is the primary at a cut, the
/// other one what a standby makes of it.
/// </summary>
public sealed class MachineTests
{
    private const int DiskBytes = 1 << 20;

    [Fact]
    public void Rule_04_serial_output_is_held_until_its_epoch_is_released()
    {
        OutboxStream outbox = null!;
        using var guest = new RunningGuest(
            wrap: console => outbox = new OutboxStream(console, 1 << 20, static () => { }));
        guest.Boot("disk=off dirty=1 steps=2 end=halt");
        outbox.BeginEpoch(1);
        guest.Machine.Resume();
        guest.Await(() => outbox.HeldBytes > 40, "output");
        guest.Machine.Pause();
        outbox.BeginEpoch(2);
        Assert.Equal("", guest.Console.Text);

        outbox.Release(1);

        Assert.StartsWith("counting guest\n", guest.Console.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Rule_06_input_that_comes_in_the_pause_belongs_to_the_next_epoch_whole()
    {
        using var guest = new RunningGuest();
        guest.Boot("", EchoGuest());
        guest.Machine.Resume();
        guest.AwaitText("ready");
        guest.Machine.Pause();
        using var isTyping = new ManualResetEventSlim();
        var typist = new Thread(() =>
        {
            isTyping.Set();
            guest.Console.OnInput!("x"u8.ToArray());
        });
        typist.Start();
        isTyping.Wait(TestContext.Current.CancellationToken);
        Assert.False(typist.Join(30)); // it waits for the end of the pause

        using RunningGuest standby = new RunningGuest().LoadFrom(guest);
        guest.Machine.Resume();
        typist.Join();
        guest.AwaitText("readyx");

        standby.Machine.Resume();
        standby.Console.OnInput!("y"u8.ToArray());
        standby.AwaitText("y");
        Assert.Equal("y", standby.Console.Text);
    }

    [Theory]
    [InlineData("pace=0")]   // always in the middle of stores
    [InlineData("pace=500")] // an APIC timer is armed, or its interrupt under way
    public void Rule_10_checkpoint_of_a_running_machine_carries_on_in_another_one(string pace)
    {
        using var guest = new RunningGuest();
        guest.Boot($"disk=off dirty=8 area=32 {pace}");
        guest.Machine.Resume();
        guest.AwaitText("step 10\n");
        guest.Machine.Pause();
        string before = guest.Console.Text;

        using RunningGuest standby = new RunningGuest().LoadFrom(guest);
        standby.Machine.Resume();
        guest.Machine.Resume(); // the source goes on as well: a cut takes nothing from it
        standby.Await(() => standby.Console.Text.AsSpan().Count('\n') > 20, "20 steps at the standby");
        guest.Await(() => guest.Console.Text.Length > before.Length + 100, "20 steps at the primary");

        string carriedOn = before + standby.Console.Text;
        AssertContiguous(carriedOn);
        string wentOn = guest.Console.Text;
        int common = Math.Min(carriedOn.Length, wentOn.Length);
        Assert.Equal(wentOn[..common], carriedOn[..common]);
        Assert.Null(standby.End);
    }

    [Fact]
    public void Rule_12_no_clock_of_the_guest_goes_back_on_a_host_that_started_later()
    {
        using var guest = new RunningGuest();
        guest.Boot("", ClockGuest());
        guest.Machine.Resume();
        guest.AwaitText("ttt");
        guest.Machine.Pause();
        long atCut = guest.Machine.Clock.NowNanos;

        using RunningGuest standby = new RunningGuest(clock: new LateClock()).LoadFrom(guest);
        Assert.Equal(atCut, standby.Machine.Clock.NowNanos);
        standby.Machine.Resume();
        standby.AwaitText("ttt");

        standby.Machine.Pause();
        Assert.Null(standby.End);
        Assert.DoesNotContain("BACK", standby.Console.Text, StringComparison.Ordinal);
        Assert.True(standby.Machine.Clock.NowNanos > atCut);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)] // the disk is done with it, the guest has not heard of it
    public void Rule_14_request_in_flight_at_the_cut_is_issued_again_and_the_guest_goes_on(bool isDoneBelow)
    {
        using var guest = new RunningGuest(new SimDisk(DiskBytes));
        guest.Boot("dirty=1 area=16");
        for (int i = 0; i < 4; i++)
        {
            guest.RunToRequest();
            guest.Disk!.CompleteAll();
        }

        guest.RunToRequest();
        BlockRequest inFlight = guest.Disk!.Pending[0];
        (BlockOperation, long, long) entry = guest.Disk.Log[^1];
        byte[] bytes = inFlight.Buffer.ToArray();
        if (isDoneBelow)
        {
            guest.Disk.Complete(0);
        }

        var copy = new SimDisk(DiskBytes);
        guest.Disk.Data.CopyTo(copy.Data, 0);
        string before = guest.Console.Text;
        using RunningGuest standby = new RunningGuest(copy).LoadFrom(guest);

        Assert.Equal(entry, Assert.Single(copy.Log));
        Assert.Equal(bytes, copy.Pending[0].Buffer.ToArray());
        copy.CompleteAll();
        while (standby.Console.Text.AsSpan().Count('\n') < 3)
        {
            standby.RunToRequest();
            copy.CompleteAll();
        }

        AssertContiguous(before + standby.Console.Text);
        Assert.Null(RecordCheck.Of(new MemoryStream(copy.Data), 0).Fault);
        Assert.Null(standby.End);
    }

    private static void AssertContiguous(string console)
    {
        string[] steps = [.. console.Split('\n').SkipWhile(line => line != "step 1")];
        Assert.InRange(steps.Length, 3, int.MaxValue);
        for (int i = 0; i < steps.Length - 1; i++) // the last line may be half printed
        {
            Assert.Equal($"step {i + 1}", steps[i]);
        }
    }

    /// <summary>Compares TSC and HPET with what they were, for ever; ends with BACK when one went back.</summary>
    private static byte[] ClockGuest() => GuestProgram.Build(c =>
    {
        const uint Hpet = 0xFED0_0000;
        var routines = new GuestRoutines(c);
        Label loop = c.CreateLabel();
        Label wentBack = c.CreateLabel();
        routines.InitializeSerial();
        c.mov(ebx, Hpet);
        c.mov(__dword_ptr[rbx + 0x10], 1); // the counter runs
        c.xor(r12d, r12d);
        c.xor(r13d, r13d);
        c.xor(r14d, r14d);
        c.Label(ref loop);
        c.rdtsc();
        c.shl(rdx, 32);
        c.or(rax, rdx);
        c.cmp(rax, r12);
        c.jb(wentBack);
        c.mov(r12, rax);
        c.mov(rax, __qword_ptr[rbx + 0xF0]);
        c.cmp(rax, r13);
        c.jb(wentBack);
        c.mov(r13, rax);
        c.inc(r14);
        c.test(r14d, 0xFF);
        c.jnz(loop);
        routines.Print("t");
        c.jmp(loop);
        c.Label(ref wentBack);
        routines.Print("BACK");
        routines.End(1);
        routines.Emit();
    });

    /// <summary>Prints what it reads from the serial line.</summary>
    private static byte[] EchoGuest() => GuestProgram.Build(c =>
    {
        var routines = new GuestRoutines(c);
        Label loop = c.CreateLabel();
        routines.InitializeSerial();
        routines.Print("ready");
        c.Label(ref loop);
        c.mov(edx, 0x3FD); // line status
        c.@in(al, dx);
        c.test(al, 1);
        c.jz(loop);
        c.mov(edx, 0x3F8);
        c.@in(al, dx);
        c.@out(dx, al);
        c.jmp(loop);
        routines.Emit();
    });

    /// <summary>The clock of a host that started an hour after this one.</summary>
    private sealed class LateClock : IHostClock
    {
        private readonly HostClock _clock = new();

        public long NowNanos => _clock.NowNanos - 3_600_000_000_000;
    }
}
