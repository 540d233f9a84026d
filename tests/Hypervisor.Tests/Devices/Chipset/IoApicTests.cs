using System.Collections.Generic;
using Hypervisor.Core.State;
using Hypervisor.Devices.Bus;
using Hypervisor.Devices.Chipset;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Devices.Chipset;

public sealed class IoApicTests
{
    private const ulong Base = 0xFEC0_0000;
    private const uint Level = 1 << 15;
    private const uint Masked = 1 << 16;
    private const uint RemoteIrr = 1 << 14;

    private readonly MmioBus _mmio = new();
    private readonly List<(ulong Address, uint Data)> _messages = [];
    private readonly IoApic _ioApic;

    public IoApicTests()
    {
        _ioApic = new IoApic((address, data) => _messages.Add((address, data)));
        _ioApic.Attach(_mmio);
    }

    [Fact]
    public void Identifies_itself_as_24_pins_version_20()
    {
        Write(0, 0xFF00_0000);

        Assert.Equal(0x0F00_0000u, Read(0));
        Assert.Equal(0x0F00_0000u, Read(2));
        Assert.Equal(0x0017_0020u, Read(1));
        for (byte pin = 0; pin < IoApic.PinCount; pin++)
        {
            Assert.Equal(Masked, Read((byte)(0x10 + (pin * 2))));
        }

        Assert.Equal(0u, Read(0x40)); // past the last pin
    }

    [Fact]
    public void Edge_sends_one_message_with_destination_and_vector()
    {
        Route(4, 0x31, destination: 3);

        _ioApic.Drive(4, true);
        _ioApic.Drive(4, true);
        _ioApic.Drive(4, false);

        Assert.Equal([(0xFEE0_3000ul, 0x4031u)], _messages);
    }

    [Fact]
    public void Logical_destination_and_lowest_priority_are_in_the_address()
    {
        Route(1, 0x31 | (1 << 8) | (1 << 11), destination: 0x0F);

        _ioApic.Drive(1, true);

        Assert.Equal([(0xFEE0_F00Cul, 0x4131u)], _messages);
    }

    [Theory]
    [InlineData(0x200u, 0x4200u)] // SMI
    [InlineData(0x400u, 0x4400u)] // NMI
    [InlineData(0x500u, 0x4500u)] // INIT
    [InlineData(0x700u, 0x4700u)] // ExtINT
    public void Other_delivery_modes_are_edges_even_when_programmed_as_level(uint mode, uint data)
    {
        Route(0, mode | Level, destination: 0);

        _ioApic.Drive(0, true);

        Assert.Equal([(0xFEE0_0000ul, data)], _messages);
        Assert.Equal(0u, Read(0x10) & RemoteIrr);
    }

    [Theory]
    [InlineData(0x300u)]
    [InlineData(0x600u)]
    public void Reserved_delivery_modes_deliver_nothing(uint mode)
    {
        Route(0, mode | 0x40, destination: 0);

        _ioApic.Drive(0, true);

        Assert.Empty(_messages);
    }

    [Fact]
    public void Level_waits_for_its_end_and_asks_again_while_high()
    {
        Route(16, 0x51 | Level, destination: 0);

        _ioApic.Drive(16, true);
        _ioApic.Drive(16, false);
        _ioApic.Drive(16, true);
        Assert.Equal([(0xFEE0_0000ul, 0xC051u)], _messages);
        Assert.Equal(0x51 | Level | RemoteIrr, Read(0x30));

        _ioApic.EndOfInterrupt(0x50); // somebody else's
        Assert.Single(_messages);
        _ioApic.EndOfInterrupt(0x51);
        Assert.Equal(2, _messages.Count);

        _ioApic.Drive(16, false);
        _ioApic.EndOfInterrupt(0x51);
        Assert.Equal(2, _messages.Count);
        Assert.Equal(0x51 | Level, Read(0x30));
    }

    [Fact]
    public void End_register_ends_like_the_broadcast()
    {
        Route(16, 0x51 | Level, destination: 0);
        _ioApic.Drive(16, true);
        _ioApic.Drive(16, false);

        _mmio.Write(Base + 0x40, 4, 0x51);

        Assert.Equal(0x51 | Level, Read(0x30));
    }

    [Fact]
    public void Masked_edge_is_lost_and_masked_level_waits()
    {
        Route(4, 0x31 | Masked, destination: 0);
        Route(17, 0x52 | Level | Masked, destination: 0);
        _ioApic.Drive(4, true);
        _ioApic.Drive(17, true);
        Assert.Empty(_messages);

        Route(4, 0x31, destination: 0);
        Route(17, 0x52 | Level, destination: 0);

        Assert.Equal([(0xFEE0_0000ul, 0xC052u)], _messages);
    }

    [Fact]
    public void Switching_to_edge_and_back_clears_a_stuck_remote_irr()
    {
        Route(16, 0x51 | Level, destination: 0);
        _ioApic.Drive(16, true);
        _ioApic.Drive(16, false);

        Write(0x30, 0x51 | Level | Masked);
        Assert.Equal(RemoteIrr, Read(0x30) & RemoteIrr);
        Write(0x30, 0x51 | Masked);
        Write(0x30, 0x51 | Level);

        Assert.Equal(0u, Read(0x30) & RemoteIrr);
    }

    [Fact]
    public void Read_only_and_reserved_bits_cannot_be_written()
    {
        Write(0x10, 0xFFFF_FFFF);
        Write(0x11, 0xFFFF_FFFF);

        Assert.Equal(0x0001_AFFFu, Read(0x10));
        Assert.Equal(0xFF00_0000u, Read(0x11));
    }

    [Fact]
    public void Odd_offsets_and_sizes_harm_nothing()
    {
        _mmio.Write(Base + 0x10, 1, 0xFF);
        _mmio.Write(Base + 0x14, 4, 0xFF);

        Assert.Equal(0u, _mmio.Read(Base + 0x20, 4));
        Assert.Equal(0u, Read(0));
    }

    [Fact]
    public void Reset_masks_all_and_keeps_the_levels()
    {
        Route(16, 0x51 | Level, destination: 1);
        _ioApic.Drive(16, true);

        _ioApic.Reset();

        Assert.Equal(Masked, Read(0x30));
        Assert.Equal(0u, Read(0x31));
        Route(16, 0x51 | Level, destination: 1);
        Assert.Equal(2, _messages.Count);
    }

    [Fact]
    public void Checkpoint_carries_every_field() => CheckpointAssert.RoundTrips(
        () => new IoApic((_, _) => { }), ioApic =>
        {
            ioApic.WriteMmio(0x00, 4, 0);
            ioApic.WriteMmio(0x10, 4, 0x0500_0000);
            ioApic.WriteMmio(0x00, 4, 0x3E);
            ioApic.WriteMmio(0x10, 4, 0x51 | Level);
            ioApic.Drive(23, true);
        });

    [Fact]
    public void Entries_are_carried_and_a_line_driven_again_sends_nothing()
    {
        Route(16, 0x51 | Level, destination: 2);
        _ioApic.Drive(16, true);
        byte[] section = new byte[512];
        CheckpointSection.Write(_ioApic, section);
        _ioApic.Reset();
        _ioApic.Drive(16, false);
        _messages.Clear();

        CheckpointSection.Read(_ioApic, section);
        _ioApic.Drive(16, true);

        Assert.Empty(_messages);
        Assert.Equal(0x51 | Level | RemoteIrr, Read(0x30));
        Assert.Equal(0x0200_0000u, Read(0x31));
        _ioApic.EndOfInterrupt(0x51);
        Assert.Single(_messages);
    }

    [Fact]
    public void Damage_is_refused() => CheckpointAssert.RefusesDamage(() => new IoApic((_, _) => { }));

    private void Route(int pin, uint low, uint destination)
    {
        Write((byte)(0x11 + (pin * 2)), destination << 24);
        Write((byte)(0x10 + (pin * 2)), low);
    }

    private void Write(byte register, uint value)
    {
        _mmio.Write(Base, 4, register);
        _mmio.Write(Base + 0x10, 4, value);
    }

    private uint Read(byte register)
    {
        _mmio.Write(Base, 4, register);
        return (uint)_mmio.Read(Base + 0x10, 4);
    }
}
