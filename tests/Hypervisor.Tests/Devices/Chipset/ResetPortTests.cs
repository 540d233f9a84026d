using System.Collections.Generic;
using Hypervisor.Devices.Chipset;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Devices.Chipset;

public sealed class ResetPortTests
{
    private readonly PortDriver _io = new();
    private readonly List<bool> _a20Changes = [];
    private readonly A20Gate _a20;
    private readonly ResetPort _port;
    private int _resets;

    public ResetPortTests()
    {
        _a20 = new A20Gate(_a20Changes.Add);
        _port = new ResetPort(_a20, () => _resets++);
        _port.Attach(_io.Ports);
    }

    [Theory]
    [InlineData(0x06)]
    [InlineData(0x0E)]
    [InlineData(0x04)]
    public void Rising_cpu_reset_resets(byte value)
    {
        _io.Out(0xCF9, 0x02);
        Assert.Equal(0, _resets);
        Assert.Equal(0x02, _io.In(0xCF9));

        _io.Out(0xCF9, value, value);

        Assert.Equal(1, _resets);
    }

    [Fact]
    public void Port_92_sets_a20_and_resets_on_the_rising_bit()
    {
        Assert.Equal(0x02, _io.In(0x92));
        _io.Out(0x92, 0x00);
        Assert.False(_a20.IsOpen);
        _io.Out(0x92, 0x02, 0x02);
        Assert.Equal([false, true], _a20Changes);
        Assert.Equal(0, _resets);

        _io.Out(0x92, 0x03, 0x03);
        Assert.Equal(1, _resets);
        Assert.Equal(0x03, _io.In(0x92));
        _port.Reset();
        Assert.Equal(0x02, _io.In(0x92));
        Assert.Equal(0x00, _io.In(0xCF9));
    }

    [Fact]
    public void Reset_opens_a20()
    {
        _a20.Set(open: false);

        _a20.Reset();

        Assert.True(_a20.IsOpen);
        Assert.Equal([false, true], _a20Changes);
    }

    [Fact]
    public void Checkpoint_carries_every_field() => CheckpointAssert.RoundTrips(
        () => new ResetPort(_a20, () => { }), port =>
        {
            var io = new PortDriver();
            port.Attach(io.Ports);
            io.Out(0xCF9, 0x06);
            io.Out(0x92, 0x03);
        });

    [Fact]
    public void Checkpoint_carries_a20()
    {
        CheckpointAssert.RoundTrips(() => new A20Gate(_a20Changes.Add), gate => gate.Set(open: false));

        Assert.Equal([false, false], _a20Changes); // the change, and the load
    }
}
