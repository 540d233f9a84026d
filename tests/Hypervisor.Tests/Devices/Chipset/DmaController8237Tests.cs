using Hypervisor.Devices.Chipset;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Devices.Chipset;

public sealed class DmaController8237Tests
{
    private readonly PortDriver _io = new();
    private readonly DmaController8237 _dma = new();

    public DmaController8237Tests() => _dma.Attach(_io.Ports);

    [Theory]
    [InlineData(0x00, 1)]
    [InlineData(0xC0, 2)]
    public void Words_are_written_and_read_through_the_flip_flop(ushort firstPort, int step)
    {
        ushort address = (ushort)(firstPort + (2 * step));
        _io.Out((ushort)(firstPort + (0x0C * step)), 0);
        _io.Out(address, 0x34, 0x12);

        Assert.Equal(0x34, _io.In(address));
        Assert.Equal(0x12, _io.In(address));
        _io.In(address);
        _io.Out((ushort)(firstPort + (0x0C * step)), 0);
        Assert.Equal(0x34, _io.In(address));
    }

    [Fact]
    public void Masks_follow_their_three_registers()
    {
        Assert.Equal(0xFF, _io.In(0x0F));
        _io.Out(0x0A, 0x02);
        Assert.Equal(0xFB, _io.In(0x0F));
        _io.Out(0x0E, 0);
        Assert.Equal(0xF0, _io.In(0x0F));
        _io.Out(0x0F, 0x05);
        Assert.Equal(0xF5, _io.In(0x0F));
        _io.Out(0x0D, 0);
        Assert.Equal(0xFF, _io.In(0x0F));
        Assert.Equal(0x00, _io.In(0x08));
    }

    [Fact]
    public void Pages_are_storage()
    {
        _io.Out(0x81, 0x12);
        _io.Out(0x8F, 0x34);

        Assert.Equal(0x12, _io.In(0x81));
        Assert.Equal(0x34, _io.In(0x8F));
        _dma.Reset();
        Assert.Equal(0x00, _io.In(0x8F));
    }

    [Fact]
    public void Checkpoint_carries_every_field() => CheckpointAssert.RoundTrips(() => new DmaController8237(), dma =>
    {
        var io = new PortDriver();
        dma.Attach(io.Ports);
        io.Out(0x00, 1);
        io.Out(0x08, 4);
        io.Out(0x0A, 1);
    });
}
