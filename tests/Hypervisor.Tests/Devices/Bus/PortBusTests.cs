using Hypervisor.Devices.Bus;
using Xunit;

namespace Hypervisor.Tests.Devices.Bus;

public sealed class PortBusTests
{
    private readonly PortBus _bus = new();
    private readonly RegisterBank _device = new(0x10);
    private readonly RegisterBank _other = new(0x80);

    [Fact]
    public void Unclaimed_ports_float_high_and_drop_writes()
    {
        _bus.Write(0x1234, 4, 5);

        Assert.Equal(0xFFu, _bus.Read(0x1234, 1));
        Assert.Equal(0xFFFFu, _bus.Read(0x1234, 2));
        Assert.Equal(0xFFFF_FFFFu, _bus.Read(0xFFFF, 4));
    }

    [Fact]
    public void Overlap_is_refused_and_names_both()
    {
        _bus.Register("first", 0x3F8, 8, _device);

        BusConflictException conflict = Assert.Throws<BusConflictException>(
            () => _bus.Register("second", 0x3FF, 2, _other));

        Assert.Equal("ports of second (3FF-400) overlap first (3F8-3FF)", conflict.Message);
        Assert.Equal(0xFFu, _bus.Read(0x400, 1));
        Assert.Equal(0x17u, _bus.Read(0x3FF, 1));
    }

    [Fact]
    public void Wide_access_to_a_byte_device_comes_in_bytes_lowest_first()
    {
        _bus.Register("bytes", 0x40, 4, _device, accessBytesMax: 1);

        _bus.Write(0x40, 4, 0x4433_2211);

        Assert.Equal([(0, 1, 0x11), (1, 1, 0x22), (2, 1, 0x33), (3, 1, 0x44)], _device.Writes);
        Assert.Equal(0x1312_1110u, _bus.Read(0x40, 4));
    }

    [Fact]
    public void Wide_access_reaches_a_wide_device_whole()
    {
        _bus.Register("wide", 0xCF8, 8, _device);

        _bus.Write(0xCFC, 4, 0x4433_2211);

        Assert.Equal([(4, 4, 0x4433_2211)], _device.Writes);
    }

    [Fact]
    public void Access_across_two_devices_is_shared_out()
    {
        _bus.Register("low", 0x100, 2, _device);
        _bus.Register("high", 0x102, 1, _other);

        Assert.Equal(0xFF80_1110u, _bus.Read(0x100, 4));
        Assert.Equal([(0, 2)], _device.Reads);

        _bus.Write(0x100, 4, 0x4433_2211);
        Assert.Equal([(0, 2, 0x2211)], _device.Writes);
        Assert.Equal([(0, 1, 0x33)], _other.Writes);
    }

    [Fact]
    public void Access_past_the_last_port_does_not_wrap()
    {
        _bus.Register("first", 0, 1, _other);
        _bus.Register("last", 0xFFFF, 1, _device);

        Assert.Equal(0xFF10u, _bus.Read(0xFFFF, 2));
        _bus.Write(0xFFFF, 4, 0x4433_2211);
        Assert.Equal([(0, 1, 0x11)], _device.Writes);
        Assert.Empty(_other.Writes);
    }

    [Fact]
    public void Port_inside_another_range_takes_its_bytes_only()
    {
        _bus.Register("PCI", 0xCF8, 8, _device);
        _bus.RegisterInside("reset", 0xCF9, _other);

        _bus.Write(0xCF8, 4, 0x8000_0000);
        _bus.Write(0xCF9, 1, 6);

        Assert.Equal([(0, 4, 0x8000_0000)], _device.Writes);
        Assert.Equal([(0, 1, 6)], _other.Writes);
    }

    [Fact]
    public void Window_moves_and_goes()
    {
        PortWindow window = _bus.AddWindow("BAR", 16, _device);
        Assert.Equal(0xFFu, _bus.Read(0xC000, 1));

        window.Map(0xC000);
        Assert.Equal(0x10u, _bus.Read(0xC000, 1));

        window.Map(0xD000);
        Assert.Equal(0xFFu, _bus.Read(0xC000, 1));
        Assert.Equal(0x1Fu, _bus.Read(0xD00F, 1));

        window.Map(0xFFF8); // would run past the end
        Assert.False(window.IsMapped);
        Assert.Equal(0xFFu, _bus.Read(0xD000, 1));
    }

    [Fact]
    public void Fixed_range_hides_a_window_and_an_earlier_window_a_later_one()
    {
        _bus.Register("fixed", 0x3F8, 8, _other);
        PortWindow early = _bus.AddWindow("early", 16, _device);
        PortWindow late = _bus.AddWindow("late", 16, new RegisterBank(0x40));

        late.Map(0x3F0);
        early.Map(0x3E8);

        Assert.Equal(0x10u + 8, _bus.Read(0x3F0, 1));
        Assert.Equal(0x80u, _bus.Read(0x3F8, 1));
        early.Unmap();
        Assert.Equal(0x40u, _bus.Read(0x3F0, 1));
    }
}
