using System;
using Hypervisor.Devices.Chipset;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Devices.Chipset;

public sealed class Pit8254Tests : IDisposable
{
    private const int Irq = 0;

    private readonly DeviceHarness _harness = new();
    private readonly PortDriver _io = new();
    private readonly Pit8254 _pit;

    public Pit8254Tests()
    {
        _pit = NewPit();
        _pit.Attach(_io.Ports);
    }

    public void Dispose() => _harness.Dispose();

    [Fact]
    public void Rate_generator_interrupts_at_its_rate()
    {
        _io.Out(0x43, 0x34);
        _io.Out(0x40, 0xA9, 0x04); // 1193 ticks: 1000 Hz
        int before = _harness.RisingEdges(Irq);

        _harness.Advance(1_000_000_000);

        Assert.Equal(1_000, _harness.RisingEdges(Irq) - before); // 1000.15 periods
    }

    [Fact]
    public void Square_wave_interrupts_once_a_period_and_is_high_for_half_of_it()
    {
        _io.Out(0x43, 0x36);
        _io.Out(0x40, 0x00, 0x00); // 65536: 18.2 Hz
        int before = _harness.RisingEdges(Irq);

        AdvanceTicks(0x8000);
        Assert.False(_harness.IsHigh(Irq));
        AdvanceTicks(0x8000);
        Assert.True(_harness.IsHigh(Irq));
        Assert.Equal(1, _harness.RisingEdges(Irq) - before);
    }

    [Fact]
    public void Terminal_count_interrupts_once()
    {
        _io.Out(0x43, 0x30);
        Assert.False(_harness.IsHigh(Irq));
        _io.Out(0x40, 100, 0);

        AdvanceTicks(99);
        Assert.False(_harness.IsHigh(Irq));
        AdvanceTicks(1);
        Assert.True(_harness.IsHigh(Irq));
        AdvanceTicks(1_000_000);
        Assert.Equal(1, _harness.RisingEdges(Irq));
        Assert.Equal(long.MaxValue, _harness.Timers.NextDeadlineNanos);
    }

    [Fact]
    public void First_byte_of_a_count_stops_terminal_count()
    {
        _io.Out(0x43, 0x30);
        _io.Out(0x40, 100, 0, 50);

        AdvanceTicks(1_000);
        Assert.False(_harness.IsHigh(Irq));
        _io.Out(0x40, 0);
        AdvanceTicks(50);
        Assert.True(_harness.IsHigh(Irq));
    }

    [Fact]
    public void Strobe_interrupts_at_the_end_of_its_pulse()
    {
        _io.Out(0x43, 0x38);
        _io.Out(0x40, 100, 0);
        int before = _harness.RisingEdges(Irq);

        AdvanceTicks(100);
        Assert.Equal(before, _harness.RisingEdges(Irq));
        AdvanceTicks(1);
        Assert.Equal(before + 1, _harness.RisingEdges(Irq));
        AdvanceTicks(100_000);
        Assert.Equal(before + 1, _harness.RisingEdges(Irq));
    }

    [Theory]
    [InlineData(0xB0, 0, 1000)]      // mode 0 from the start
    [InlineData(0xB0, 1, 999)]
    [InlineData(0xB0, 1001, 0xFFFF)] // wraps
    [InlineData(0xB4, 999, 1)]       // mode 2 reloads
    [InlineData(0xB4, 1000, 1000)]
    [InlineData(0xB6, 1, 998)]       // mode 3 counts by two
    [InlineData(0xB6, 499, 2)]
    [InlineData(0xB6, 500, 1000)]
    [InlineData(0xB8, 400, 600)]     // mode 4
    public void Count_follows_from_guest_time(byte control, int ticks, int count)
    {
        OpenGate();
        _io.Out(0x43, control);
        _io.Out(0x42, 0xE8, 0x03);

        AdvanceTicks(ticks);

        Assert.Equal(count, _io.In(0x42) | (_io.In(0x42) << 8));
    }

    [Fact]
    public void Odd_square_wave_is_high_one_tick_longer()
    {
        OpenGate();
        _io.Out(0x43, 0xB6);
        _io.Out(0x42, 5, 0);
        (int Count, bool High)[] expected = [(4, true), (2, true), (0, true), (4, false), (2, false), (4, true)];

        foreach ((int count, bool high) in expected)
        {
            Assert.Equal(high, IsSpeakerHigh());
            Assert.Equal(count, _io.In(0x42) | (_io.In(0x42) << 8));
            AdvanceTicks(1);
        }
    }

    [Fact]
    public void Binary_coded_decimal_counts_in_decimal()
    {
        OpenGate();
        _io.Out(0x43, 0xB1);
        _io.Out(0x42, 0x34, 0x12);
        AdvanceTicks(35);
        Assert.Equal(0x1199, _io.In(0x42) | (_io.In(0x42) << 8));
        AdvanceTicks(1_200);
        Assert.Equal(0x9999, _io.In(0x42) | (_io.In(0x42) << 8));

        _io.Out(0x43, 0xB5); // zero is ten thousand
        _io.Out(0x42, 0, 0);
        AdvanceTicks(1);
        Assert.Equal(0x9999, _io.In(0x42) | (_io.In(0x42) << 8));
    }

    [Fact]
    public void Latched_count_stands_until_it_is_read()
    {
        OpenGate();
        _io.Out(0x43, 0xB4);
        _io.Out(0x42, 0xE8, 0x03);
        AdvanceTicks(100);
        _io.Out(0x43, 0x80);
        AdvanceTicks(100);
        _io.Out(0x43, 0x80); // the second one is ignored

        Assert.Equal(900, _io.In(0x42) | (_io.In(0x42) << 8));
        Assert.Equal(800, _io.In(0x42) | (_io.In(0x42) << 8));
    }

    [Fact]
    public void Read_back_latches_status_and_count_of_several_channels()
    {
        _io.Out(0x43, 0x34);
        _io.Out(0x40, 0xE8, 0x03);
        OpenGate();
        _io.Out(0x43, 0x90); // channel 2: low byte only, mode 0, no count yet

        _io.Out(0x43, 0xCA); // counts and status of channels 0 and 2

        Assert.Equal(0xB4, _io.In(0x40)); // output high, loaded, two bytes, mode 2
        Assert.Equal(1000, _io.In(0x40) | (_io.In(0x40) << 8));
        Assert.Equal(0x50, _io.In(0x42)); // null count
    }

    [Fact]
    public void Access_modes_take_single_bytes()
    {
        OpenGate();
        _io.Out(0x43, 0xA4); // high byte only
        _io.Out(0x42, 0x02);
        Assert.Equal(0x02, _io.In(0x42));
        AdvanceTicks(1);
        Assert.Equal(0x01, _io.In(0x42));

        _io.Out(0x43, 0x94); // low byte only
        _io.Out(0x42, 0x80);
        AdvanceTicks(1);
        Assert.Equal(0x7F, _io.In(0x42));
    }

    [Fact]
    public void Modes_6_and_7_are_2_and_3()
    {
        _io.Out(0x43, 0x3C);
        _io.Out(0x43, 0xE2);
        Assert.Equal(0x34, _io.In(0x40) & 0x3F);
        _io.Out(0x43, 0x3E);
        _io.Out(0x43, 0xE2);
        Assert.Equal(0x36, _io.In(0x40) & 0x3F);
    }

    // How Linux measures the TSC: quick_pit_calibrate and pit_calibrate_tsc wait for bit 5 of port 61.
    [Fact]
    public void Linux_calibration_sees_channel_2_end()
    {
        _io.Out(0x61, (byte)((_io.In(0x61) & ~0x02) | 0x01));
        _io.Out(0x43, 0xB0);
        _io.Out(0x42, 0x9B, 0x2E); // 11931 ticks: 10 ms

        _harness.Advance(9_999_000);
        Assert.Equal(0, _io.In(0x61) & 0x20);
        _harness.Advance(1_000);
        Assert.Equal(0x20, _io.In(0x61) & 0x20);
    }

    [Fact]
    public void Low_gate_holds_terminal_count()
    {
        OpenGate();
        _io.Out(0x43, 0xB0);
        _io.Out(0x42, 0xE8, 0x03);
        AdvanceTicks(100);
        _io.Out(0x61, 0);
        AdvanceTicks(100);
        Assert.Equal(900, _io.In(0x42) | (_io.In(0x42) << 8));

        _io.Out(0x61, 1);
        AdvanceTicks(100);
        Assert.Equal(800, _io.In(0x42) | (_io.In(0x42) << 8));
    }

    [Fact]
    public void Rising_gate_starts_a_rate_generator_over_and_low_gate_is_high_output()
    {
        OpenGate();
        _io.Out(0x43, 0xB6);
        _io.Out(0x42, 100, 0);
        AdvanceTicks(60);
        Assert.False(IsSpeakerHigh());

        _io.Out(0x61, 0);
        Assert.True(IsSpeakerHigh());
        _io.Out(0x61, 1);
        AdvanceTicks(49);
        Assert.True(IsSpeakerHigh());
        AdvanceTicks(1);
        Assert.False(IsSpeakerHigh());
    }

    [Theory]
    [InlineData(0xB2)] // mode 1: low from the trigger to the end
    [InlineData(0xBA)] // mode 5: low for the last tick
    public void One_shots_wait_for_the_gate_and_start_over_with_it(byte control)
    {
        bool isOneShot = control == 0xB2;
        _io.Out(0x61, 0);
        _io.Out(0x43, control);
        _io.Out(0x42, 100, 0);
        AdvanceTicks(1_000);
        Assert.True(IsSpeakerHigh());

        _io.Out(0x61, 1);
        AdvanceTicks(50);
        Assert.Equal(!isOneShot, IsSpeakerHigh());
        _io.Out(0x61, 0);
        _io.Out(0x61, 1);
        AdvanceTicks(99);
        Assert.Equal(!isOneShot, IsSpeakerHigh());
        AdvanceTicks(1);
        Assert.Equal(isOneShot, IsSpeakerHigh());
        AdvanceTicks(1);
        Assert.True(IsSpeakerHigh());
    }

    [Fact]
    public void New_count_of_a_rate_generator_waits_for_the_period()
    {
        OpenGate();
        _io.Out(0x43, 0xB4);
        _io.Out(0x42, 100, 0);
        AdvanceTicks(250);
        _io.Out(0x42, 10, 0);
        _io.Out(0x43, 0xE8);
        Assert.Equal(0x40, _io.In(0x42) & 0x40); // null count: not loaded yet

        AdvanceTicks(49);
        Assert.Equal(1, _io.In(0x42) | (_io.In(0x42) << 8));
        AdvanceTicks(1);
        Assert.Equal(10, _io.In(0x42) | (_io.In(0x42) << 8));
        AdvanceTicks(1_005);
        Assert.Equal(5, _io.In(0x42) | (_io.In(0x42) << 8));
    }

    [Fact]
    public void New_count_of_a_square_wave_waits_for_the_half_period()
    {
        OpenGate();
        _io.Out(0x43, 0xB6);
        _io.Out(0x42, 100, 0);
        AdvanceTicks(20);
        _io.Out(0x42, 20, 0);

        AdvanceTicks(29);
        Assert.True(IsSpeakerHigh());
        AdvanceTicks(1);
        Assert.False(IsSpeakerHigh());
        AdvanceTicks(9);
        Assert.False(IsSpeakerHigh());
        AdvanceTicks(1);
        Assert.True(IsSpeakerHigh());
    }

    [Fact]
    public void Port_61_keeps_its_low_bits_and_shows_refresh()
    {
        _io.Out(0x61, 0xFF);
        Assert.Equal(0x0F, _io.In(0x61) & 0xCF);

        int first = _io.In(0x61) & 0x10;
        _harness.Advance(15_085);
        Assert.NotEqual(first, _io.In(0x61) & 0x10);
    }

    [Fact]
    public void Tiny_counts_do_not_drown_the_event_loop()
    {
        _io.Out(0x43, 0x14);
        _io.Out(0x40, 2);
        int before = _harness.RisingEdges(Irq);

        _harness.Advance(1_000_000);

        Assert.InRange(_harness.RisingEdges(Irq) - before, 20, 100);
    }

    [Fact]
    public void Counters_stay_exact_after_a_year()
    {
        OpenGate();
        _io.Out(0x43, 0xB4);
        _io.Out(0x42, 0, 0);
        _harness.Clock.Advance(365L * 86_400 * 1_000_000_000);

        // 365 * 86400 * 1193182 ticks, modulo 65536 (counting down).
        int passed = (int)(365L * 86_400 * 1_193_182 % 65_536);
        Assert.Equal(65_536 - passed, _io.In(0x42) | (_io.In(0x42) << 8));
    }

    [Fact]
    public void Reset_stops_everything()
    {
        _io.Out(0x43, 0x34);
        _io.Out(0x40, 0xA9, 0x04);

        _pit.Reset();

        Assert.False(_harness.IsHigh(Irq));
        Assert.Equal(long.MaxValue, _harness.Timers.NextDeadlineNanos);
    }

    private Pit8254 NewPit() => new(_harness.Context, _harness.Context.Line(Irq), static () => false);

    private void OpenGate() => _io.Out(0x61, 1);

    private bool IsSpeakerHigh() => (_io.In(0x61) & 0x20) != 0;

    // To the first nanosecond of a tick, as every test counts in ticks.
    private void AdvanceTicks(long ticks)
    {
        var rate = new TickRate(Pit8254.Hertz);
        long now = _harness.GuestClock.NowNanos;
        _harness.Advance(rate.NanosAt(rate.TicksAt(now) + ticks) - now);
    }
}
