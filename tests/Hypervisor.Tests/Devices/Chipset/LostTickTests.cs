using System;
using Hypervisor.Devices.Chipset;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Devices.Chipset;

/// <summary>The 8254 at an 8259, before a guest that counts ticks and a host that stalls.</summary>
public sealed class LostTickTests : IDisposable
{
    private const byte Vector = 0x20;
    private const long Millisecond = 1_000_000; // about a period at 1000 Hz: 1193 ticks are 999 847 ns

    private readonly DeviceHarness _harness = new();
    private readonly PortDriver _io = new();
    private readonly Pic8259 _pic = new(static _ => { });
    private readonly Pit8254 _pit;

    public LostTickTests()
    {
        _pit = new Pit8254(_harness.Context, new(0, _pic.Drive), () => _pic.IsWaiting(0));
        _pit.Attach(_io.Ports);
        _pic.Attach(_io.Ports);
        _io.Out(0x20, 0x11);
        _io.Out(0x21, Vector, 0x04, 0x01, 0xFE); // only IRQ 0 is unmasked
    }

    public void Dispose() => _harness.Dispose();

    [Theory]
    [InlineData(0x34)] // rate generator
    [InlineData(0x36)] // square wave
    public void Edges_that_a_stalled_host_missed_come_after_it(byte control)
    {
        Start(control);
        int ticks = 0;
        for (int i = 0; i < 20; i++)
        {
            Stall((50 * Millisecond) + (i * 100_000)); // ends in either half of a period
            ticks += TakeAll();
        }

        Assert.Equal(_harness.GuestClock.NowNanos * Pit8254.Hertz / 1_000_000_000 / 1_193, ticks);
    }

    [Fact]
    public void Edges_come_after_the_one_before_was_taken()
    {
        Start();
        Stall((3 * Millisecond) + 1);

        Assert.True(Take());
        Assert.False(Take()); // in service: the next one waits for the end of interrupt
        _io.Out(0x20, 0x20);
        Assert.True(Take());
        _io.Out(0x20, 0x20);
        Assert.True(Take());
        _io.Out(0x20, 0x20);
        Assert.False(Take());
    }

    [Fact]
    public void Edges_that_meet_one_that_waits_are_owed()
    {
        Start();
        _harness.Advance((7 * Millisecond) + 1); // no late event loop: the guest does not take interrupts

        Assert.Equal(7, TakeAll());
    }

    [Fact]
    public void What_is_owed_has_a_bound()
    {
        Start();
        Stall(3_600_000 * Millisecond);
        Stall(3_600_000 * Millisecond);

        Assert.Equal(TickDebt.EdgesMax + 1, TakeAll());
        Stall(Millisecond);
        Assert.Equal(1, TakeAll());
    }

    [Fact]
    public void Masked_edges_are_nobodys_loss()
    {
        _io.Out(0x21, 0xFF);
        Start();
        Stall(100 * Millisecond);
        _harness.Advance(100 * Millisecond);

        _io.Out(0x21, 0xFE);

        Assert.Equal(1, TakeAll()); // the 8259 keeps one
    }

    [Fact]
    public void Programming_the_channel_anew_forgets_the_debt()
    {
        Start();
        Stall(100 * Millisecond);

        _io.Out(0x43, 0x30);

        Assert.Equal(1, TakeAll());
    }

    [Fact]
    public void Counter_never_shows_a_period_whose_edge_is_not_out()
    {
        Start();
        TakeAll();
        _harness.Clock.Advance(Millisecond + 1); // and the event loop does not run

        _io.In(0x40);

        Assert.Equal(1, TakeAll());
    }

    [Fact]
    public void Edges_that_a_tiny_count_skips_are_not_owed()
    {
        _io.Out(0x43, 0x14);
        _io.Out(0x40, 2);
        TakeAll();
        Stall(Millisecond);

        Assert.Equal(1, TakeAll());
    }

    [Fact]
    public void New_count_that_was_loaded_in_the_stall_counts_for_its_part()
    {
        Start();
        Stall(100_000);
        _io.Out(0x40, 0x55, 0x02); // 597 ticks, from the end of the first period on
        Stall((10 * Millisecond) - 100_000);

        Assert.Equal(1 + ((11_931 - 1_193) / 597), TakeAll());
    }

    private void Start(byte control = 0x34)
    {
        _io.Out(0x43, control);
        _io.Out(0x40, 0xA9, 0x04);
        TakeAll(); // the output rises with the control word
    }

    private void Stall(long nanos)
    {
        _harness.Clock.Advance(nanos);
        _harness.Timers.RunDue();
    }

    private bool Take()
    {
        if (!_pic.IsRequesting)
        {
            return false;
        }

        Assert.Equal(Vector, _pic.Acknowledge());
        _pit.OnTaken();
        return true;
    }

    private int TakeAll()
    {
        int count = 0;
        while (Take())
        {
            _io.Out(0x20, 0x20);
            count++;
        }

        return count;
    }
}
