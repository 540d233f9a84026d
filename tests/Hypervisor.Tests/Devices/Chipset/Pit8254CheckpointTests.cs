using System;
using Hypervisor.Core.State;
using Hypervisor.Devices.Chipset;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Devices.Chipset;

public sealed class Pit8254CheckpointTests : IDisposable
{
    private const int Irq = 0;

    private readonly DeviceHarness _harness = new();
    private bool _isWaiting; // of the last edge at a controller

    public void Dispose() => _harness.Dispose();

    [Fact]
    public void Checkpoint_carries_every_field()
        => CheckpointAssert.RoundTrips(NewPit, FillChannels, RunOneShotHeld, OweTicks);

    [Fact]
    public void Load_arms_the_next_interrupt_again()
    {
        var io = new PortDriver();
        Pit8254 pit = NewPit();
        pit.Attach(io.Ports);
        io.Out(0x43, 0x34);
        io.Out(0x40, 0xE8, 0x03);
        _harness.Advance(419_048); // 500 ticks
        byte[] section = new byte[1024];
        CheckpointSection.Write(pit, section);
        pit.Reset();
        Assert.Equal(long.MaxValue, _harness.Timers.NextDeadlineNanos);

        CheckpointSection.Read(pit, section);
        int before = _harness.RisingEdges(Irq);
        _harness.Advance(419_048);

        Assert.Equal(before + 1, _harness.RisingEdges(Irq));
    }

    [Fact]
    public void Load_delivers_what_was_late_or_owed_at_the_cut()
    {
        Pit8254 pit = NewPit();
        OweTicks(pit);
        _harness.Clock.Advance(5_000_000); // 5 edges more, and the event loop does not come before the cut
        byte[] section = new byte[1024];
        CheckpointSection.Write(pit, section);
        pit.Reset();
        _isWaiting = true;

        CheckpointSection.Read(pit, section);
        _harness.Timers.RunDue();
        _isWaiting = false;
        int before = _harness.RisingEdges(Irq);
        for (int i = 0; i < 100; i++)
        {
            pit.OnTaken();
        }

        Assert.Equal(before + 8 + 5, _harness.RisingEdges(Irq));
    }

    [Fact]
    public void Load_of_version_1_owes_nothing()
    {
        Pit8254 pit = NewPit();
        OweTicks(pit);
        byte[] payload = new byte[1024];
        var saving = StateCodec.Saving(payload, version: 1);
        pit.Transfer(ref saving);
        pit.Reset();

        var loading = StateCodec.Loading(payload.AsSpan(0, saving.Position), version: 1);
        pit.Transfer(ref loading);
        int before = _harness.RisingEdges(Irq);
        pit.OnTaken();
        Assert.Equal(before, _harness.RisingEdges(Irq));
        _harness.Advance(1_000_000);

        Assert.Equal(saving.Position, loading.Position);
        Assert.Equal(before + 1, _harness.RisingEdges(Irq));
    }

    [Fact]
    public void Damage_is_refused() => CheckpointAssert.RefusesDamage(NewPit);

    private static void FillChannels(Pit8254 pit)
    {
        var io = new PortDriver();
        pit.Attach(io.Ports);
        io.Out(0x61, 0x03);
        for (byte i = 0; i < 3; i++)
        {
            ushort port = (ushort)(0x40 + i);
            byte channel = (byte)(i << 6);
            io.Out(0x43, (byte)(channel | 0x35));
            io.Out(port, 0x00, 0x10, 0x00, 0x20, 0x12); // runs, waits, half written
            io.In(port);
            io.Out(0x43, channel, (byte)(0xC0 | (2 << i)));
        }
    }

    private void RunOneShotHeld(Pit8254 pit)
    {
        var io = new PortDriver();
        pit.Attach(io.Ports);
        io.Out(0x61, 0x01);
        _harness.Advance(1_000_000);
        for (byte i = 0; i < 3; i++)
        {
            io.Out(0x43, (byte)((i << 6) | 0x10));
            io.Out((ushort)(0x40 + i), 0x80);
        }

        io.Out(0x61, 0x02);
    }

    // Eight.
    private void OweTicks(Pit8254 pit)
    {
        var io = new PortDriver();
        pit.Attach(io.Ports);
        io.Out(0x43, 0x34);
        io.Out(0x40, 0xA9, 0x04); // 1000 Hz
        _isWaiting = true;
        _harness.Advance(8_500_000);
        _isWaiting = false;
    }

    private Pit8254 NewPit() => new(_harness.Context, _harness.Context.Line(Irq), () => _isWaiting);
}
