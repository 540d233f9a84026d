using System;
using Hypervisor.Core.State;
using Hypervisor.Devices.Bus;
using Hypervisor.Devices.Chipset;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Devices.Chipset;

public sealed class HpetTests : IDisposable
{
    private const ulong Capabilities = 0x000;
    private const ulong Configuration = 0x010;
    private const ulong Status = 0x020;
    private const ulong Counter = 0x0F0;
    private const ulong Timer0 = 0x100;
    private const ulong Timer1 = 0x120;
    private const ulong Comparator = 0x08;
    private const int NanosPerTick = 10;

    private readonly DeviceHarness _harness = new();
    private readonly MmioBus _mmio = new();
    private readonly Hpet _hpet;
    private bool _isWaiting; // of the last edge at a controller

    public HpetTests()
    {
        _hpet = new Hpet(_harness.Context, () => _isWaiting);
        _hpet.Attach(_mmio);
    }

    public void Dispose() => _harness.Dispose();

    [Fact]
    public void Identifies_itself()
    {
        Assert.Equal(0x0098_9680_8086_A201u, Read64(Capabilities));
        Assert.Equal(10_000_000u, Read(Capabilities + 4));
        Assert.Equal(0x0000_0004_0000_0030u, Read64(Timer0));
    }

    [Fact]
    public void Counter_runs_while_enabled_and_keeps_its_value_while_halted()
    {
        _harness.Advance(1_000);
        Assert.Equal(0u, Read64(Counter));
        Write64(Counter, 0xFFFF_FFFF);
        Write(Configuration, 1);
        _harness.Advance(1_000);
        Assert.Equal(0xFFFF_FFFFul + 100, Read64(Counter));
        Assert.Equal(1u, Read(Counter + 4));

        Write64(Counter, 0); // ignored while it runs
        Write(Configuration, 0);
        _harness.Advance(1_000);
        Assert.Equal(0xFFFF_FFFFul + 100, Read64(Counter));
    }

    // arch/x86/kernel/hpet.c, hpet_clkevt_set_state_oneshot and hpet_clkevt_set_next_event, in legacy replacement.
    [Fact]
    public void Linux_one_shot_interrupts_irq_0_once()
    {
        Write(Configuration, 3);
        Write(Timer0, 0x104);
        Write(Timer0 + Comparator, Read(Counter) + 1_000);

        _harness.Advance(999 * NanosPerTick);
        Assert.Equal(0, _harness.RisingEdges(0));
        _harness.Advance(NanosPerTick);
        Assert.Equal(1, _harness.RisingEdges(0));
        Assert.False(_harness.IsHigh(0));
        _harness.Advance(1_000_000_000);
        Assert.Equal(1, _harness.RisingEdges(0));
    }

    // hpet_clkevt_set_state_periodic: comparator with "value set", then the period.
    [Fact]
    public void Linux_periodic_interrupts_at_its_period()
    {
        Write(Configuration, 3);
        Write(Timer0, 0x14C);
        Write(Timer0 + Comparator, Read(Counter) + 100_000);
        Write(Timer0 + Comparator, 100_000);

        _harness.Advance(1_000_000_000);

        Assert.Equal(1_000, _harness.RisingEdges(0));
        Assert.Equal(0x10Cu | 0x30, Read(Timer0));
    }

    [Fact]
    public void Comparator_1_is_irq_8_under_legacy_replacement_and_gsi_2_without()
    {
        Write(Configuration, 3);
        Write(Timer1, 0x04);
        Write64(Timer1 + Comparator, 100);
        _harness.Advance(1_000);
        Assert.Equal(1, _harness.RisingEdges(8));

        Write(Configuration, 1);
        Write64(Timer1 + Comparator, 200);
        _harness.Advance(1_000);
        Assert.Equal(1, _harness.RisingEdges(8));
        Assert.Equal(1, _harness.RisingEdges(2));
    }

    [Fact]
    public void Level_interrupt_stands_until_its_status_is_cleared()
    {
        Write(Configuration, 1);
        Write(Timer1, 0x06);
        Write64(Timer1 + Comparator, 100);
        _harness.Advance(1_000);
        Assert.True(_harness.IsHigh(2));
        Assert.Equal(2u, Read(Status));

        Write(Status, 1); // another's
        Assert.True(_harness.IsHigh(2));
        Write(Status, 2);
        Assert.False(_harness.IsHigh(2));
        Assert.Equal(0u, Read(Status));
    }

    [Fact]
    public void Level_status_is_set_even_when_the_interrupt_is_disabled()
    {
        Write(Configuration, 1);
        Write(Timer1, 0x02);
        Write64(Timer1 + Comparator, 100);
        _harness.Advance(1_000);

        Assert.Equal(2u, Read(Status));
        Assert.False(_harness.IsHigh(2));
        Write(Timer1, 0x06);
        Assert.True(_harness.IsHigh(2));
        Write(Timer1, 0x04); // edge: the level and its status go
        Assert.False(_harness.IsHigh(2));
        Assert.Equal(0u, Read(Status));
    }

    [Fact]
    public void Narrow_comparator_matches_at_each_wrap_of_32_bits()
    {
        Write(Configuration, 3);
        Write(Timer0, 0x104);
        Write(Timer0 + Comparator, 100);

        _harness.Advance((100L + (2L << 32)) * NanosPerTick);

        Assert.Equal(3, _harness.RisingEdges(0));
    }

    [Fact]
    public void Wide_comparator_behind_the_counter_does_not_match()
    {
        Write(Configuration, 1);
        _harness.Advance(10_000);
        Write(Timer0, 0x04);
        Write64(Timer0 + Comparator, 10);

        Assert.Equal(long.MaxValue, _harness.Timers.NextDeadlineNanos);
    }

    [Fact]
    public void Tiny_periods_do_not_drown_the_event_loop()
    {
        Write(Configuration, 3);
        Write(Timer0, 0x4C);
        Write64(Timer0 + Comparator, 1);

        _harness.Advance(1_000_000);

        Assert.InRange(_harness.RisingEdges(0), 50, 101);
    }

    [Fact]
    public void Legacy_replacement_cuts_off_pit_and_rtc()
    {
        _hpet.PitLine.Set(true);
        _hpet.RtcLine.Set(true);
        Assert.True(_harness.IsHigh(0));
        Assert.True(_harness.IsHigh(8));

        Write(Configuration, 3);
        Assert.False(_harness.IsHigh(0));
        Assert.False(_harness.IsHigh(8));
        _hpet.RtcLine.Set(false);
        Write(Configuration, 1);
        Assert.True(_harness.IsHigh(0));
        Assert.False(_harness.IsHigh(8));
    }

    [Fact]
    public void Narrow_and_misaligned_writes_are_ignored()
    {
        _mmio.Write(Hpet.Address + Configuration, 1, 1);
        _mmio.Write(Hpet.Address + Configuration + 2, 4, 1);
        Assert.Equal(0u, Read(Configuration));
        Assert.Equal(0x80u, (uint)_mmio.Read(Hpet.Address + 4, 1));
        Assert.Equal(0u, Read64(0x3F8));
    }

    [Fact]
    public void Reset_halts_and_drops_the_lines()
    {
        Write(Configuration, 1);
        Write(Timer1, 0x06);
        Write64(Timer1 + Comparator, 100);
        _harness.Advance(1_000);

        _hpet.Reset();

        Assert.False(_harness.IsHigh(2));
        Assert.Equal(0u, Read64(Counter));
        Assert.Equal(ulong.MaxValue, Read64(Timer1 + Comparator));
        Assert.Equal(long.MaxValue, _harness.Timers.NextDeadlineNanos);
    }

    [Fact]
    public void Checkpoint_carries_every_field() => CheckpointAssert.RoundTrips(
        () => new Hpet(_harness.Context, () => _isWaiting), hpet =>
        {
            hpet.PitLine.Set(true);
            _harness.Advance(1_000);
            hpet.WriteMmio(Configuration, 4, 3);
            hpet.WriteMmio(Timer0, 4, 0x0E | 0x40);
            hpet.WriteMmio(Timer0 + Comparator, 8, 300);
            _harness.Advance(10_000);
        }, OweTicks);

    [Fact]
    public void Load_of_version_1_owes_nothing()
    {
        OweTicks(_hpet);
        byte[] payload = new byte[512];
        var saving = StateCodec.Saving(payload, version: 1);
        _hpet.Transfer(ref saving);
        _hpet.Reset();

        var loading = StateCodec.Loading(payload.AsSpan(0, saving.Position), version: 1);
        _hpet.Transfer(ref loading);
        int before = _harness.RisingEdges(0);
        _hpet.OnTimerTaken();

        Assert.Equal(saving.Position, loading.Position);
        Assert.Equal(before, _harness.RisingEdges(0));
    }

    [Theory]
    [InlineData(5, 5)]
    [InlineData(5_000, TickDebt.EdgesMax + 1)]
    public void Late_matches_of_a_periodic_comparator_come_one_by_one(int periods, int edges)
    {
        Write(Configuration, 3);
        Write(Timer0, 0x4C);
        Write64(Timer0 + Comparator, 100_000);
        _isWaiting = true; // as soon as the first edge is out
        _hpet.OnTimerTaken();
        Assert.Equal(0, _harness.RisingEdges(0));

        _isWaiting = false;
        _harness.OnEdge = () => _isWaiting = true;
        _harness.Clock.Advance(periods * 1_000_000L);
        _harness.Timers.RunDue();
        Assert.Equal(1, _harness.RisingEdges(0));
        for (int i = 0; i < periods; i++)
        {
            _hpet.OnTimerTaken();
        }

        Assert.Equal(edges, _harness.RisingEdges(0));
    }

    [Theory]
    [InlineData(Configuration, 1)] // without legacy replacement
    [InlineData(Configuration, 2)] // halted
    [InlineData(Timer0, 0x08)]     // programmed anew
    public void Debt_ends_with_what_made_it(ulong register, uint value)
    {
        OweTicks(_hpet);
        Write(register, value);
        int before = _harness.RisingEdges(0) + _harness.RisingEdges(2);

        _hpet.OnTimerTaken();

        Assert.Equal(before, _harness.RisingEdges(0) + _harness.RisingEdges(2));
    }

    [Fact]
    public void Load_carries_on_with_the_period()
    {
        Write(Configuration, 3);
        Write(Timer0, 0x4C);
        Write64(Timer0 + Comparator, 10_000);
        _harness.Advance(50_000);
        byte[] section = new byte[512];
        CheckpointSection.Write(_hpet, section);
        _hpet.Reset();

        CheckpointSection.Read(_hpet, section);
        int before = _harness.RisingEdges(0);
        _harness.Advance(1_000_000);

        Assert.Equal(before + 10, _harness.RisingEdges(0));
        Assert.Equal(105_000u, Read64(Counter));
    }

    private void OweTicks(Hpet hpet)
    {
        hpet.WriteMmio(Configuration, 4, 3);
        hpet.WriteMmio(Timer0, 4, 0x4C);
        hpet.WriteMmio(Timer0 + Comparator, 8, 100_000);
        _isWaiting = true;
        _harness.Advance(10_000_000);
        _isWaiting = false;
    }

    private uint Read(ulong register) => (uint)_mmio.Read(Hpet.Address + register, 4);

    private ulong Read64(ulong register) => _mmio.Read(Hpet.Address + register, 8);

    private void Write(ulong register, uint value) => _mmio.Write(Hpet.Address + register, 4, value);

    private void Write64(ulong register, ulong value) => _mmio.Write(Hpet.Address + register, 8, value);
}
