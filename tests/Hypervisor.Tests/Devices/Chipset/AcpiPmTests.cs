using System;
using Hypervisor.Devices.Chipset;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Devices.Chipset;

public sealed class AcpiPmTests : IDisposable
{
    private const int Sci = 9;
    private const ushort Status = 0x600;
    private const ushort Enable = 0x602;
    private const ushort Control = 0x604;
    private const ushort Gpe = 0x60C;

    private readonly DeviceHarness _harness = new();
    private readonly PortDriver _io = new();
    private readonly AcpiPm _pm;
    private int _powerOffs;

    public AcpiPmTests()
    {
        _pm = NewPm();
        _pm.Attach(_io.Ports);
    }

    public void Dispose() => _harness.Dispose();

    [Fact]
    public void Timer_counts_at_3_579545_MHz_in_24_bits()
    {
        _harness.Advance(1_000_000_000);
        Assert.Equal(3_579_545u, _io.InDoubleword(0x608));
        _harness.Advance(9_000_000_000);
        Assert.Equal(35_795_450u & 0xFF_FFFF, _io.InDoubleword(0x608));
        Assert.Equal((35_795_450 >> 8) & 0xFF, _io.In(0x609));
    }

    [Fact]
    public void Wide_timer_has_32_bits()
    {
        var io = new PortDriver();
        new AcpiPm(_harness.Context, _harness.Context.Line(Sci), () => { }, timerBits: 32).Attach(io.Ports);

        _harness.Advance(10_000_000_000);

        Assert.Equal(35_795_450u, io.InDoubleword(0x608));
    }

    [Fact]
    public void Timer_interrupts_when_its_top_bit_changes()
    {
        long half = ((1L << 23) * 1_000_000_000 / AcpiPm.TimerHertz) + 1;
        _io.OutWord(Enable, 1);
        _harness.Advance(half - 1);
        Assert.False(_harness.IsHigh(Sci));
        _harness.Advance(1);
        Assert.True(_harness.IsHigh(Sci));
        Assert.Equal(1, _io.InWord(Status));

        _io.OutWord(Status, 1);
        Assert.False(_harness.IsHigh(Sci));
        _harness.Advance(half);
        Assert.Equal(2, _harness.RisingEdges(Sci));
    }

    [Fact]
    public void Timer_status_is_set_without_the_interrupt()
    {
        Assert.Equal(long.MaxValue, _harness.Timers.NextDeadlineNanos);
        _harness.Advance(3_000_000_000);

        Assert.Equal(1, _io.InWord(Status));
        Assert.False(_harness.IsHigh(Sci));
    }

    [Fact]
    public void Power_button_asks_when_it_is_enabled()
    {
        _pm.PressPowerButton();
        Assert.Equal(0x100, _io.InWord(Status));
        Assert.False(_harness.IsHigh(Sci));

        _io.OutWord(Enable, 0x100);
        Assert.True(_harness.IsHigh(Sci));
        _io.OutWord(Status, 0x100);
        Assert.False(_harness.IsHigh(Sci));
    }

    [Fact]
    public void Linux_powers_off()
    {
        ushort control = _io.InWord(Control);
        Assert.Equal(1, control & 1);
        _io.OutWord(Control, control);
        Assert.Equal(0, _powerOffs);

        _io.OutWord(Control, (ushort)(control | (AcpiPm.SoftOffSleepType << 10) | 0x2000));

        Assert.Equal(1, _powerOffs);
        Assert.Equal(0, _io.InWord(Control) & 0x2000);
    }

    [Fact]
    public void Other_sleeps_end_at_once()
    {
        _io.OutWord(Control, 0x2401);

        Assert.Equal(0, _powerOffs);
        Assert.Equal(0x8000, _io.InWord(Status));
        _io.Out(0x601, 0x80); // by bytes as well
        Assert.Equal(0, _io.InWord(Status));
    }

    [Fact]
    public void Smi_commands_leave_and_enter_acpi_mode()
    {
        _pm.PressPowerButton();
        _io.OutWord(Enable, 0x100);
        _io.Out(AcpiPm.SmiCommandPort, AcpiPm.DisableCommand);
        Assert.Equal(0, _io.InWord(Control) & 1);
        Assert.False(_harness.IsHigh(Sci));

        _io.Out(AcpiPm.SmiCommandPort, AcpiPm.EnableCommand);
        Assert.Equal(1, _io.InWord(Control) & 1);
        Assert.True(_harness.IsHigh(Sci));
        _io.Out(0xB3, 0x42);
        Assert.Equal(0x42, _io.In(0xB3));
        Assert.Equal(AcpiPm.EnableCommand, _io.In(0xB2));
    }

    [Fact]
    public void General_purpose_events_ask_when_enabled()
    {
        _pm.RaiseGpe(9);
        Assert.Equal(0x0200, _io.InWord(Gpe));
        _io.Out(Gpe + 3, 0x02);
        Assert.True(_harness.IsHigh(Sci));

        _io.Out(Gpe + 1, 0x02);
        Assert.False(_harness.IsHigh(Sci));
        Assert.Equal(0x0200_0000u, _io.InDoubleword(Gpe));
    }

    [Fact]
    public void Access_across_registers_reads_both()
    {
        _io.OutDoubleword(Status, 0x0100_0000);

        Assert.Equal(0x0001_0100u, _io.InDoubleword(Enable));
        Assert.Equal(0x0100_0000u, _io.InDoubleword(Status));
    }

    [Fact]
    public void Reset_returns_to_power_on()
    {
        _pm.PressPowerButton();
        _io.OutWord(Enable, 0x101);

        _pm.Reset();

        Assert.False(_harness.IsHigh(Sci));
        Assert.Equal(0u, _io.InDoubleword(Status));
        Assert.Equal(1, _io.InWord(Control));
    }

    [Fact]
    public void Checkpoint_carries_every_field() => CheckpointAssert.RoundTrips(NewPm, pm =>
    {
        var io = new PortDriver();
        pm.Attach(io.Ports);
        _harness.Advance(1_000_000);
        pm.PressPowerButton();
        pm.RaiseGpe(3);
        io.OutWord(Enable, 1);
        io.OutWord(Control, 0x0403);
        io.OutWord(Gpe + 2, 8);
        io.Out(0xB2, 0x11);
        io.Out(0xB3, 0x22);
    });

    [Fact]
    public void Damage_is_refused() => CheckpointAssert.RefusesDamage(NewPm);

    private AcpiPm NewPm() => new(_harness.Context, _harness.Context.Line(Sci), () => _powerOffs++);
}
