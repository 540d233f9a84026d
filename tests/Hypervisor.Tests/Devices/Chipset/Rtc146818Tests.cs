using System;
using Hypervisor.Devices.Chipset;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Devices.Chipset;

public sealed class Rtc146818Tests : IDisposable
{
    private const int Irq = 8;
    private const long Second = 1_000_000_000;

    // 2026-11-21 23:59:58 UTC, a Saturday.
    private const long Start = 1_795_305_598;

    private readonly DeviceHarness _harness = new();
    private readonly PortDriver _io = new();
    private readonly Rtc146818 _rtc;

    public Rtc146818Tests()
    {
        _rtc = NewRtc();
        _rtc.Attach(_io.Ports);
    }

    public void Dispose() => _harness.Dispose();

    [Fact]
    public void Shows_the_start_time_and_runs_with_guest_time()
    {
        Assert.Equal("20 26 11 21 07 23 59 58", Time());
        _harness.Advance(2 * Second);
        Assert.Equal("20 26 11 22 01 00 00 00", Time());
        Assert.Equal(0x80, Read(0x0D));
    }

    [Fact]
    public void Binary_and_12_hour_form_follow_register_b()
    {
        Write(0x0B, 0x04);
        Assert.Equal("14 1A 0B 15 07 8B 3B 3A", Time());
        Write(0x0B, 0x00);
        Assert.Equal(0x91, Read(4)); // 11 p.m.
        _harness.Advance(2 * Second);
        Assert.Equal(0x12, Read(4)); // midnight is twelve
        Write(0x0B, 0x02);
        Assert.Equal(0x00, Read(4));
    }

    // drivers/rtc/rtc-mc146818-lib.c, mc146818_set_time.
    [Fact]
    public void Linux_sets_the_time()
    {
        byte control = Read(0x0B);
        Write(0x0B, (byte)(control | 0x80));
        byte rate = Read(0x0A);
        Write(0x0A, (byte)(rate | 0x70));
        (int Index, byte Value)[] fields =
            [(9, 0x24), (8, 0x02), (7, 0x29), (4, 0x12), (2, 0x34), (0, 0x56), (0x32, 0x20)];
        foreach ((int index, byte value) in fields)
        {
            Write(index, value);
        }

        _harness.Advance(10 * Second); // it stands
        Write(0x0B, control);
        Write(0x0A, rate);

        Assert.Equal("20 24 02 29 05 12 34 56", Time());
        _harness.Advance((Second / 2) - 1); // half a second after divider reset
        Assert.Equal(0x56, Read(0));
        _harness.Advance(1);
        Assert.Equal(0x57, Read(0));
    }

    [Fact]
    public void Single_field_is_set_while_the_clock_runs()
    {
        Write(2, 0x30);

        Assert.Equal("20 26 11 21 07 23 30 58", Time());
    }

    [Fact]
    public void Impossible_dates_come_into_range()
    {
        Write(0x0B, 0x82);
        foreach (int index in (int[])[0, 2, 4, 7, 8, 9, 0x32])
        {
            Write(index, 0xFF);
        }

        Write(0x0B, 0x02);

        Assert.Equal("99 99 12 31 06 23 59 59", Time());
        _harness.Advance(1_000 * Second);
        Assert.Equal(0x99, Read(9));
    }

    [Fact]
    public void Update_in_progress_shows_before_each_second()
    {
        _harness.Advance(Second - 244_001);
        Assert.Equal(0x26, Read(0x0A));
        _harness.Advance(1);
        Assert.Equal(0xA6, Read(0x0A));
        _harness.Advance(244_000);
        Assert.Equal(0x26, Read(0x0A));

        Write(0x0B, 0x82);
        _harness.Advance(Second - 100);
        Assert.Equal(0x26, Read(0x0A)); // stopped
    }

    [Fact]
    public void Update_interrupt_comes_each_second_and_stands_until_register_c_is_read()
    {
        Write(0x0B, 0x12);
        _harness.Advance(Second - 1);
        Assert.False(_harness.IsHigh(Irq));
        _harness.Advance(1);
        Assert.True(_harness.IsHigh(Irq));
        _harness.Advance(5 * Second);
        Assert.Equal(1, _harness.RisingEdges(Irq));

        Assert.Equal(0x90, Read(0x0C) & 0x90);
        Assert.False(_harness.IsHigh(Irq));
        Assert.Equal(0x00, Read(0x0C));
        _harness.Advance(Second);
        Assert.Equal(2, _harness.RisingEdges(Irq));
    }

    [Theory]
    [InlineData(0x26, 1_024)]
    [InlineData(0x2F, 2)]
    [InlineData(0x23, 8_192)]
    [InlineData(0x21, 256)]
    public void Periodic_interrupt_has_its_rate(byte registerA, int hertz)
    {
        Write(0x0A, registerA);
        Write(0x0B, 0x42);
        for (int i = 0; i < hertz; i++)
        {
            _harness.Advance(_harness.Timers.NextDeadlineNanos - _harness.GuestClock.NowNanos);
            Assert.Equal(0xC0, Read(0x0C) & 0xC0);
        }

        Assert.Equal(Second, _harness.GuestClock.NowNanos);
        Assert.Equal(hertz, _harness.RisingEdges(Irq));
    }

    [Fact]
    public void Alarm_interrupts_at_its_time()
    {
        SetAlarm(0x00, 0x01, 0x30);
        Write(0x0B, 0x22);

        _harness.Advance((92 * Second) - 1);
        Assert.False(_harness.IsHigh(Irq));
        _harness.Advance(1);
        Assert.True(_harness.IsHigh(Irq));
        Assert.Equal(0xB0, Read(0x0C) & 0xBF);
        _harness.Advance(86_400 * Second);
        Assert.Equal(2, _harness.RisingEdges(Irq));
    }

    [Fact]
    public void Alarm_with_any_hour_and_minute_comes_each_minute()
    {
        SetAlarm(0xC0, 0xFF, 0x05);
        Write(0x0B, 0x22);
        for (int i = 1; i <= 3; i++)
        {
            _harness.Advance(60 * Second);
            Assert.Equal(i, _harness.RisingEdges(Irq));
            Read(0x0C);
        }
    }

    [Fact]
    public void Impossible_alarm_never_comes()
    {
        SetAlarm(0x77, 0x00, 0x00);
        Write(0x0B, 0x22);

        Assert.Equal(long.MaxValue, _harness.Timers.NextDeadlineNanos);
    }

    [Fact]
    public void Flags_are_set_without_interrupts()
    {
        _harness.Advance(Second);

        Assert.Equal(0x50, Read(0x0C));
        Assert.Equal(0x00, Read(0x0C));
        Assert.Equal(long.MaxValue, _harness.Timers.NextDeadlineNanos);
    }

    [Fact]
    public void Setting_the_time_switches_the_update_interrupt_off()
    {
        Write(0x0B, 0x92);

        Assert.Equal(0x82, Read(0x0B));
        _harness.Advance(10 * Second);
        Assert.False(_harness.IsHigh(Irq));
    }

    [Fact]
    public void Index_has_the_nmi_mask_and_cmos_keeps_bytes()
    {
        _io.Out(0x70, 0xC0);
        Assert.True(_rtc.IsNmiMasked);
        _io.Out(0x71, 0x5A);
        Assert.Equal(0x5A, _io.In(0x71));
        Assert.Equal(0xFF, _io.In(0x70));
        Write(0x40, 0xA5);
        Assert.False(_rtc.IsNmiMasked);
    }

    [Fact]
    public void Memory_sizes_are_where_firmware_looks()
    {
        _rtc.SetMemorySize(lowBytes: 3L << 30, highBytes: 5L << 30);

        Assert.Equal(640, Read(0x15) | (Read(0x16) << 8));
        Assert.Equal(0xFFFF, Read(0x30) | (Read(0x31) << 8));
        Assert.Equal(0xFFFF, Read(0x17) | (Read(0x18) << 8));
        Assert.Equal((3_072 - 16) * 16, Read(0x34) | (Read(0x35) << 8));
        Assert.Equal(5 * 1_024 * 16, Read(0x5B) | (Read(0x5C) << 8) | (Read(0x5D) << 16));
    }

    [Fact]
    public void Reset_keeps_time_and_memory_and_drops_interrupts()
    {
        Write(0x0B, 0x72);
        Write(0x40, 0x77);
        _harness.Advance(Second);

        _rtc.Reset();

        Assert.False(_harness.IsHigh(Irq));
        Assert.Equal(0x02, Read(0x0B));
        Assert.Equal(0x77, Read(0x40));
        Assert.Equal(0x59, Read(0));
    }

    [Fact]
    public void Checkpoint_carries_every_field() => CheckpointAssert.RoundTrips(NewRtc, rtc =>
    {
        var io = new PortDriver();
        rtc.Attach(io.Ports);
        _harness.Advance(Second / 3);
        io.Out(0x70, 0x0A);
        io.Out(0x71, 0x76, 0x26);
        io.Out(0x70, 0x02);
        io.Out(0x71, 0x11);
        io.Out(0x70, 0x0B);
        io.Out(0x71, 0x12);
        io.Out(0x70, 0xC1);
    });

    [Fact]
    public void Load_shows_the_same_time_and_interrupts()
    {
        Write(2, 0x30);
        Write(0x0B, 0x12);
        _harness.Advance(Second);
        byte[] section = new byte[512];
        Core.State.CheckpointSection.Write(_rtc, section);
        Rtc146818 restored = new(_harness.Context, _harness.Context.Line(Irq), startSeconds: 0);
        _rtc.Reset();

        Core.State.CheckpointSection.Read(restored, section);

        var io = new PortDriver();
        restored.Attach(io.Ports);
        Assert.True(_harness.IsHigh(Irq));
        io.Out(0x70, 2);
        Assert.Equal(0x30, io.In(0x71));
        io.Out(0x70, 0x32);
        Assert.Equal(0x20, io.In(0x71));
    }

    [Fact]
    public void Damage_is_refused() => CheckpointAssert.RefusesDamage(NewRtc);

    private Rtc146818 NewRtc() => new(_harness.Context, _harness.Context.Line(Irq), Start);

    private byte Read(int index)
    {
        _io.Out(0x70, (byte)index);
        return _io.In(0x71);
    }

    private void Write(int index, byte value)
    {
        _io.Out(0x70, (byte)index);
        _io.Out(0x71, value);
    }

    private void SetAlarm(byte hour, byte minute, byte second)
    {
        Write(5, hour);
        Write(3, minute);
        Write(1, second);
    }

    // Century, year, month, day, day of the week, hour, minute, second.
    private string Time()
        => $"{Read(0x32):X2} {Read(9):X2} {Read(8):X2} {Read(7):X2} {Read(6):X2} {Read(4):X2} "
            + $"{Read(2):X2} {Read(0):X2}";
}
