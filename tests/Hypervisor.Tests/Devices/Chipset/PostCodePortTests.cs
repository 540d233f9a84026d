using Hypervisor.Devices.Chipset;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Devices.Chipset;

public sealed class PostCodePortTests
{
    private readonly PortDriver _io = new();

    [Fact]
    public void Last_code_is_kept()
    {
        var port = new PostCodePort();
        port.Attach(_io.Ports);

        _io.Out(0x80, 0x11, 0x22);

        Assert.Equal(0x22, port.LastCode);
        Assert.Equal(0x22, _io.In(0x80));
        port.Reset();
        Assert.Equal(0, port.LastCode);
    }

    [Fact]
    public void Checkpoint_carries_every_field()
        => CheckpointAssert.RoundTrips(() => new PostCodePort(), port => port.WritePort(0, 1, 0x42));
}
