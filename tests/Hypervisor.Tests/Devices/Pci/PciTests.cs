using Hypervisor.Core.State;
using Hypervisor.Devices.Pci;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Devices.Pci;

public sealed class PciTests
{
    private readonly PciBench _bench = new();

    [Theory]
    [InlineData(0, 0, 0x00, 4, 0x1237_8086u)]
    [InlineData(0, 0, 0x02, 2, 0x1237u)]
    [InlineData(0, 0, 0x01, 1, 0x80u)]
    [InlineData(0, 0, 0x08, 4, 0x0600_0002u)]
    [InlineData(1, 0, 0x00, 4, 0x7000_8086u)]
    [InlineData(1, 0, 0x0C, 4, 0x0080_0000u)] // more functions follow
    [InlineData(1, 3, 0x00, 4, 0x7113_8086u)]
    [InlineData(1, 3, 0x40, 4, 0x0000_0601u)] // ACPI registers at port 600
    [InlineData(3, 0, 0x08, 4, 0x0203_0409u)]
    [InlineData(3, 0, 0x2C, 4, 0xEF01_ABCDu)]
    [InlineData(3, 0, 0x3D, 1, 1u)]
    [InlineData(2, 0, 0x00, 4, 0xFFFF_FFFFu)] // nobody there
    [InlineData(2, 0, 0x00, 2, 0xFFFFu)]
    [InlineData(3, 1, 0x00, 1, 0xFFu)]
    public void Configuration_space_reads_in_every_width(int slot, int function, int offset, int size, uint value)
        => Assert.Equal(value, _bench.Read(slot, function, offset, size));

    [Theory]
    [InlineData(0x0000_0000u)] // not enabled
    [InlineData(0x8001_0000u)] // bus 1
    public void Address_that_selects_nothing_here_reads_as_ones(uint address)
    {
        _bench.Ports.Write(0xCF8, 4, address);

        Assert.Equal(uint.MaxValue, _bench.Ports.Read(0xCFC, 4));
    }

    [Fact]
    public void Address_register_takes_doublewords_only_and_keeps_reserved_bits_zero()
    {
        _bench.Ports.Write(0xCF8, 4, uint.MaxValue);
        _bench.Ports.Write(0xCF8, 1, 0);
        _bench.Ports.Write(0xCFA, 2, 0);

        Assert.Equal(0x80FF_FFFCu, _bench.Ports.Read(0xCF8, 4));
        Assert.Equal(0x80u, _bench.Ports.Read(0xCFB, 1));
    }

    [Theory]
    [InlineData(0x10, 0xFFFF_F000u)]
    [InlineData(0x18, 0xFFFF_000Cu)] // 64 bit, prefetchable
    [InlineData(0x1C, 0xFFFF_FFFFu)]
    [InlineData(0x20, 0xFFFF_FFE1u)] // I/O
    [InlineData(0x14, 0u)]           // not implemented
    [InlineData(0x30, 0u)]           // no ROM
    public void Bar_tells_its_size(int offset, uint sized)
    {
        _bench.Write(3, 0, offset, 4, uint.MaxValue);

        Assert.Equal(sized, _bench.Read(3, 0, offset, 4));
    }

    [Fact]
    public void Read_only_registers_stay()
    {
        foreach (int offset in (int[])[0x00, 0x08, 0x2C, 0x34, _bench.First.FirstCapability])
        {
            uint before = _bench.Read(3, 0, offset, 4);
            _bench.Write(3, 0, offset, 4, ~before);
            Assert.Equal(before, _bench.Read(3, 0, offset, 4));
        }
    }

    [Fact]
    public void Capabilities_form_a_list()
    {
        Assert.Equal(0x10u, _bench.Read(3, 0, 0x06, 2) & 0x10);
        int first = (int)_bench.Read(3, 0, 0x34, 1);
        int second = (int)_bench.Read(3, 0, first + 1, 1);

        Assert.Equal((_bench.First.FirstCapability, _bench.First.SecondCapability), (first, second));
        Assert.Equal((0x09u, 0x11u), (_bench.Read(3, 0, first, 1), _bench.Read(3, 0, second, 1)));
        Assert.Equal(0u, _bench.Read(3, 0, second + 1, 1));
        Assert.Equal(0, second % 4);
    }

    [Fact]
    public void Firmware_places_bars_in_slot_order_and_switches_decoding_on()
    {
        PciFirmware.SetUp(_bench.Host);

        Assert.Equal(0xC000_0000u, _bench.Read(3, 0, 0x10, 4));
        Assert.Equal(0xC001_000Cu, _bench.Read(3, 0, 0x18, 4));
        Assert.Equal(0xC001u, _bench.Read(3, 0, 0x20, 4));
        Assert.Equal(0xC002_0000u, _bench.Read(7, 0, 0x10, 4));
        Assert.Equal(0x24UL, _bench.Mmio.Read(0xC000_0024, 4));
        Assert.Equal(0xFFF8UL, _bench.Mmio.Read(0xC001_FFF8, 4));
        Assert.Equal(5u, _bench.Ports.Read(0xC005, 1));
        Assert.Equal(11u, _bench.Read(3, 0, 0x3C, 1)); // slot 3, pin A: PIRQ C
    }

    [Fact]
    public void Command_register_gates_each_kind_of_decoding()
    {
        PciFirmware.SetUp(_bench.Host);

        _bench.Write(3, 0, 0x04, 2, 1);
        Assert.False(_bench.Mmio.IsClaimed(0xC000_0000));
        Assert.Equal(5u, _bench.Ports.Read(0xC005, 1));
        _bench.Write(3, 0, 0x04, 2, 2);
        Assert.True(_bench.Mmio.IsClaimed(0xC000_0000));
        Assert.Equal(0xFFu, _bench.Ports.Read(0xC005, 1));
    }

    [Fact]
    public void Guest_moves_a_bar_and_sizing_takes_it_off_the_bus()
    {
        PciFirmware.SetUp(_bench.Host);

        _bench.Write(3, 0, 0x10, 4, 0xD000_0000);
        Assert.True(_bench.Mmio.IsClaimed(0xD000_0000));
        Assert.False(_bench.Mmio.IsClaimed(0xC000_0000));
        _bench.Write(3, 0, 0x10, 4, uint.MaxValue);
        Assert.False(_bench.Mmio.IsClaimed(0xFFFF_F000));
        _bench.Write(3, 0, 0x1C, 4, 1); // above 4 GiB
        Assert.True(_bench.Mmio.IsClaimed(0x1_C001_0000));
        _bench.Write(3, 0, 0x10, 4, 0);
        Assert.False(_bench.Mmio.IsClaimed(0));
    }

    [Fact]
    public void Interrupt_pin_pulls_its_wire_at_both_controllers()
    {
        PciFirmware.SetUp(_bench.Host);

        _bench.First.Pull(true);

        Assert.True(_bench.Lines[18]); // slot 3, pin A: PIRQ C
        Assert.True(_bench.PicLines[11]);
        Assert.Equal(8u, _bench.Read(3, 0, 0x06, 2) & 8);
        _bench.First.Pull(false);
        Assert.False(_bench.Lines[18] || _bench.PicLines[11]);
    }

    [Fact]
    public void Wire_that_two_functions_share_falls_with_the_last_of_them()
    {
        PciFirmware.SetUp(_bench.Host); // slots 3 and 7 meet at PIRQ C

        _bench.First.Pull(true);
        _bench.Second.Pull(true);
        _bench.First.Pull(false);
        Assert.True(_bench.Lines[18]);
        _bench.Second.Pull(false);

        Assert.False(_bench.Lines[18]);
    }

    [Fact]
    public void Interrupt_disable_holds_the_pin_but_not_the_status()
    {
        PciFirmware.SetUp(_bench.Host);
        _bench.First.Pull(true);

        _bench.Write(3, 0, 0x04, 2, 0x407);

        Assert.False(_bench.Lines[18]);
        Assert.Equal(8u, _bench.Read(3, 0, 0x06, 2) & 8);
        _bench.Write(3, 0, 0x04, 2, 7);
        Assert.True(_bench.Lines[18]);
    }

    [Fact]
    public void Route_can_change_while_the_wire_is_pulled()
    {
        PciFirmware.SetUp(_bench.Host);
        _bench.First.Pull(true);

        _bench.Write(1, 0, 0x62, 1, 5);
        Assert.False(_bench.PicLines[11]);
        Assert.True(_bench.PicLines[5]);
        _bench.Write(1, 0, 0x62, 1, 0x80);
        Assert.False(_bench.PicLines[5]);
        _bench.Write(1, 0, 0x62, 1, 13); // not an IRQ that can be chosen
        Assert.DoesNotContain(13, _bench.PicLines.Keys);
    }

    [Fact]
    public void Reset_takes_bars_off_the_bus()
    {
        PciFirmware.SetUp(_bench.Host);
        _bench.First.Pull(true);

        _bench.First.Reset();

        Assert.False(_bench.Mmio.IsClaimed(0xC000_0000));
        Assert.False(_bench.Lines[18]);
        Assert.Equal(0u, _bench.Read(3, 0, 0x10, 4));
    }

    [Fact]
    public void Host_bridge_checkpoint_carries_every_field() => CheckpointAssert.RoundTrips(
        () => new PciBench().Host,
        host =>
        {
            host.WritePort(0, 4, 0x8000_1234);
            ((PciBench.Sample)host.Find(3, 0)!).Pull(true);
        });

    [Fact]
    public void Isa_bridge_checkpoint_carries_every_field()
    {
        PciBench last = _bench;
        CheckpointAssert.RoundTrips(() => (last = new PciBench()).Bridge, _ =>
        {
            PciFirmware.SetUp(last.Host);
            last.First.Pull(true);
        });
    }

    [Fact]
    public void Power_management_checkpoint_carries_the_registers()
    {
        var other = new PciBench();
        _bench.Write(1, 3, 0x3C, 1, 0x77);
        byte[] section = new byte[4096];
        int length = CheckpointSection.Write(_bench.PowerManagement, section);

        CheckpointSection.Read(other.PowerManagement, section);

        Assert.True(length > 256);
        Assert.Equal(0x77u, other.Read(1, 3, 0x3C, 1));
    }
}
