using System.Collections.Generic;
using Hypervisor.Devices.Chipset;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Devices.Chipset;

public sealed class DebugExitTests
{
    private readonly PortDriver _io = new();
    private readonly List<int> _exits = [];

    [Fact]
    public void Exit_code_is_odd_as_in_qemu()
    {
        new DebugExit(_exits.Add).Attach(_io.Ports);

        _io.Out(0x501, 0x00, 0x10);
        _io.OutWord(0x501, 0x20);
        _io.OutDoubleword(0x501, 0x40);

        Assert.Equal([1, 0x21, 0x41, 0x81], _exits);
        Assert.Equal(0, _io.In(0x501));
    }

    [Fact]
    public void Port_is_settable()
    {
        new DebugExit(_exits.Add).Attach(_io.Ports, 0xF4);

        _io.Out(0xF4, 3);

        Assert.Equal([7], _exits);
    }
}
