using System;
using Hypervisor.Devices.Chipset;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Devices.Chipset;

public sealed class Pit8254CheckpointTests : IDisposable
{
    private const int Irq = 0;

    private readonly DeviceHarness _harness = new();

    public void Dispose() => _harness.Dispose();

    [Fact]
    public void Checkpoint_carries_every_field()
        => CheckpointAssert.RoundTrips(NewPit, FillChannels, pit => RunOneShotHeld(pit));

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
        Core.State.CheckpointSection.Write(pit, section);
        pit.Reset();
        Assert.Equal(long.MaxValue, _harness.Timers.NextDeadlineNanos);

        Core.State.CheckpointSection.Read(pit, section);
        int before = _harness.RisingEdges(Irq);
        _harness.Advance(419_048);

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

    private Pit8254 NewPit() => new(_harness.Context, _harness.Context.Line(Irq));
}
