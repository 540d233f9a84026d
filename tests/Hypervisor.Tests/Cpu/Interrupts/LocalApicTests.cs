using Hypervisor.Core.Memory;
using Hypervisor.Core.Time;
using Hypervisor.Cpu;
using Hypervisor.Cpu.Interrupts;
using Hypervisor.TestKit;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Hypervisor.Tests.Cpu.Interrupts;

public sealed class LocalApicTests
{
    private const int Id = 0x20, Tpr = 0x80, Ppr = 0xA0, Eoi = 0xB0, Ldr = 0xD0, Dfr = 0xE0, Svr = 0xF0, Isr2 = 0x120,
        Irr2 = 0x220, Esr = 0x280, IcrLow = 0x300, IcrHigh = 0x310, LvtTimer = 0x320, Initial = 0x380, Current = 0x390,
        Divide = 0x3E0;

    [Fact]
    public void Highest_vector_is_acknowledged_first_and_blocks_its_class()
    {
        using AsmProgram program = New();
        LocalApic apic = program.Vcpu.LocalApic;

        apic.Accept(DeliveryMode.Fixed, 0x41, isLevel: false);
        apic.Accept(DeliveryMode.Fixed, 0x52, isLevel: false);
        Assert.True(apic.TryAcknowledge(out byte first));
        Assert.Equal(0x52, first);
        Assert.Equal(0x50ul, apic.ReadPage(Ppr, 4));
        Assert.Equal(1ul << 18, apic.ReadPage(Isr2, 4));
        Assert.Equal(2ul, apic.ReadPage(Irr2, 4));

        apic.Accept(DeliveryMode.Fixed, 0x53, isLevel: false);
        Assert.False(apic.TryAcknowledge(out _));
        apic.WritePage(Eoi, 4, 0);
        Assert.True(apic.TryAcknowledge(out byte second));
        Assert.Equal(0x53, second);
    }

    [Fact]
    public void Task_priority_holds_interrupts_back()
    {
        using AsmProgram program = New();
        LocalApic apic = program.Vcpu.LocalApic;
        apic.WritePage(Tpr, 4, 0x40);
        apic.Accept(DeliveryMode.Fixed, 0x4F, isLevel: false);

        Assert.False(apic.HasInterrupt);
        apic.WritePage(Tpr, 4, 0x3F);
        Assert.True(apic.HasInterrupt);
    }

    [Fact]
    public void Level_interrupt_broadcasts_its_end_unless_suppressed()
    {
        using AsmProgram program = New();
        LocalApic apic = program.Vcpu.LocalApic;
        foreach (byte vector in new byte[] { 0x41, 0x51 })
        {
            apic.Accept(DeliveryMode.Fixed, vector, isLevel: true);
            apic.TryAcknowledge(out _);
            apic.WritePage(Eoi, 4, 0);
            apic.WritePage(Svr, 4, 0x11FF);
        }

        Assert.Equal([0x41], program.Bus.EndOfInterrupts);
    }

    [Fact]
    public void Software_disabled_apic_takes_no_vectors_and_masks_its_entries()
    {
        using AsmProgram program = New();
        LocalApic apic = program.Vcpu.LocalApic;
        apic.WritePage(LvtTimer, 4, 0x40);
        apic.WritePage(Svr, 4, 0xFF);

        apic.Accept(DeliveryMode.Fixed, 0x41, isLevel: false);
        apic.WritePage(LvtTimer, 4, 0x40);

        Assert.False(apic.HasInterrupt);
        Assert.Equal(0x1_0040ul, apic.ReadPage(LvtTimer, 4));
    }

    [Fact]
    public void One_shot_timer_counts_down_in_divided_nanoseconds()
    {
        using AsmProgram program = New();
        LocalApic apic = program.Vcpu.LocalApic;
        apic.WritePage(Divide, 4, 3); // 16
        apic.WritePage(LvtTimer, 4, 0x40);
        apic.WritePage(Initial, 4, 1000);

        program.Advance(1600);
        Assert.Equal(900ul, apic.ReadPage(Current, 4));
        program.Advance(14_399);
        Assert.False(apic.HasInterrupt);
        program.Advance(1);
        Assert.True(apic.TryAcknowledge(out byte vector));
        Assert.Equal(0x40, vector);
        Assert.Equal(0ul, apic.ReadPage(Current, 4));
    }

    [Fact]
    public void Periodic_timer_fires_again_and_again()
    {
        using AsmProgram program = New();
        LocalApic apic = program.Vcpu.LocalApic;
        apic.WritePage(Divide, 4, 0xB); // 1
        apic.WritePage(LvtTimer, 4, 0x2_0040);
        apic.WritePage(Initial, 4, 1_000_000);

        for (int i = 0; i < 3; i++)
        {
            program.Advance(999_999);
            Assert.False(apic.HasInterrupt);
            program.Advance(1);
            Assert.True(apic.TryAcknowledge(out _));
            apic.WritePage(Eoi, 4, 0);
        }
    }

    [Fact]
    public void Periodic_timer_of_one_tick_does_not_spin()
    {
        using AsmProgram program = New();
        LocalApic apic = program.Vcpu.LocalApic;
        apic.WritePage(Divide, 4, 0xB);
        apic.WritePage(LvtTimer, 4, 0x2_0040);
        apic.WritePage(Initial, 4, 1);

        program.Advance(10);

        Assert.True(program.Vcpu.Timers.NextDeadlineNanos >= program.Clock.NowNanos + 50_000);
    }

    [Fact]
    public void Tsc_deadline_fires_once_and_reads_zero_after()
    {
        using AsmProgram program = New();
        LocalApic apic = program.Vcpu.LocalApic;
        apic.WritePage(LvtTimer, 4, 0x4_0040);
        apic.WriteDeadline(5000);
        apic.WritePage(Initial, 4, 7); // ignored in this mode

        program.Advance(4999);
        Assert.False(apic.HasInterrupt);
        Assert.Equal(5000ul, apic.ReadDeadline());
        program.Advance(1);

        Assert.True(apic.HasInterrupt);
        Assert.Equal(0ul, apic.ReadDeadline());
        Assert.Equal(0ul, apic.ReadPage(Initial, 4));
    }

    [Theory]
    [InlineData(0xFFFF_FFFFu, 0x04u, 0x0Cu, true)]   // flat: sets overlap
    [InlineData(0xFFFF_FFFFu, 0x04u, 0x08u, false)]
    [InlineData(0x0FFF_FFFFu, 0x24u, 0x24u, true)]   // cluster 2, bit 2
    [InlineData(0x0FFF_FFFFu, 0x24u, 0x14u, false)]  // another cluster
    [InlineData(0x0FFF_FFFFu, 0x24u, 0x21u, false)]  // another bit
    [InlineData(0x0FFF_FFFFu, 0x24u, 0xFFu, true)]   // broadcast
    public void Logical_destinations_match(uint format, uint logicalId, uint destination, bool expected)
    {
        using AsmProgram program = New();
        program.Vcpu.LocalApic.WritePage(Dfr, 4, format);
        program.Vcpu.LocalApic.WritePage(Ldr, 4, logicalId << 24);

        Assert.Equal(expected, program.Vcpu.LocalApic.IsDestination(destination, isLogical: true));
    }

    [Fact]
    public void Command_register_sends_with_the_destination_above()
    {
        using AsmProgram program = New();
        program.Vcpu.LocalApic.WritePage(IcrHigh, 4, 3ul << 24);
        program.Vcpu.LocalApic.WritePage(IcrLow, 4, 0x4041);

        Assert.Equal([(3ul << 32) | 0x4041], program.Bus.Ipis);
    }

    [Fact]
    public void Illegal_vector_is_an_error_and_sends_nothing()
    {
        using AsmProgram program = New();
        LocalApic apic = program.Vcpu.LocalApic;

        apic.WritePage(IcrLow, 4, 0x0F);
        apic.WritePage(Esr, 4, 0);

        Assert.Equal(0x20ul, apic.ReadPage(Esr, 4));
        Assert.Empty(program.Bus.Ipis);
    }

    [Fact]
    public void Id_cannot_be_written()
    {
        using AsmProgram program = New();

        program.Vcpu.LocalApic.WritePage(Id, 4, 0xFF00_0000);

        Assert.Equal(0ul, program.Vcpu.LocalApic.ReadPage(Id, 4));
    }

    [Fact]
    public void Page_is_reached_by_loads_and_stores()
    {
        using var program = new AsmProgram(CpuMode.Protected, a =>
        {
            a.mov(__dword_ptr[0xFEE0_0080], 0x30);
            a.mov(eax, __dword_ptr[0xFEE0_0030]);
            a.hlt();
        });

        program.Run();

        Assert.Equal(0x30ul, program.Vcpu.LocalApic.ReadPage(Tpr, 4));
        unsafe
        {
            Assert.Equal(0x0105_0014ul, program.Vcpu.State->Gpr[0]);
        }
    }

    [Fact]
    public void X2apic_msrs_work_only_in_that_mode_and_refuse_reserved_bits()
    {
        using AsmProgram program = New();
        LocalApic apic = program.Vcpu.LocalApic;

        Assert.False(apic.TryReadMsr(0x802, out _));
        Assert.True(apic.TryWriteBase(apic.Base | 0x400, 40));
        Assert.True(apic.TryReadMsr(0x80D, out ulong logical));
        Assert.Equal(1ul, logical);
        Assert.False(apic.HasPage);
        Assert.False(apic.TryWriteMsr(0x808, 0x100));
        Assert.False(apic.TryWriteMsr(0x80B, 1));
        Assert.False(apic.TryWriteMsr(0x80E, 0));
        Assert.True(apic.TryWriteMsr(0x83F, 0x44));
        Assert.True(apic.TryAcknowledge(out byte vector));
        Assert.Equal(0x44, vector);
        Assert.False(apic.TryWriteBase(apic.Base & ~0x400ul, 40)); // back to xAPIC only through off
    }

    [Fact]
    public void Checkpoint_carries_every_field() => CheckpointAssert.RoundTrips(Create, ChangeRegisters, static apic =>
    {
        apic.WritePage(Svr, 4, 0x1FF);
        apic.WritePage(LvtTimer, 4, 0x4_0040);
        apic.WriteDeadline(99);
    });

    private static void ChangeRegisters(LocalApic apic)
    {
        apic.TryWriteBase(apic.Base ^ 0x10_0000, 40);
        apic.WritePage(Svr, 4, 0x1FE);
        for (int register = LvtTimer; register <= 0x370; register += 16)
        {
            apic.WritePage(register, 4, 0x72);
        }

        apic.WritePage(Tpr, 4, 0x11);
        apic.WritePage(Divide, 4, 1);
        apic.WritePage(Initial, 4, 500);
        apic.WritePage(Ldr, 4, 0x0200_0000);
        apic.WritePage(Dfr, 4, 0);
        apic.WritePage(IcrLow, 4, 0x03);
        apic.WritePage(Esr, 4, 0);
        apic.WritePage(IcrLow, 4, 0x04);
        apic.WritePage(0x3F0, 4, 0);
        apic.Accept(DeliveryMode.Fixed, 0x41, isLevel: true);
        apic.Accept(DeliveryMode.Fixed, 0x81, isLevel: true);
        apic.TryAcknowledge(out _);
        apic.Accept(DeliveryMode.Init, 0, isLevel: false);
        apic.Accept(DeliveryMode.StartUp, 8, isLevel: false);
        apic.Accept(DeliveryMode.Nmi, 0, isLevel: false);
        apic.SetExternalInterrupt(true);
    }

    private static LocalApic Create()
    {
        var host = new SimClock();
        var clock = new GuestClock(host);
        clock.Start();
        host.Advance(1234);
        return new Vcpu(1, new GuestRam(1 << 20), new RecordingBus(), new GuestTimers(clock)).LocalApic;
    }

    private static AsmProgram New()
    {
        var program = new AsmProgram(CpuMode.Real, a => a.hlt());
        VcpuEventsTests.EnableApic(program);
        return program;
    }
}
