using System;
using Hypervisor.Devices.Bus;
using Xunit;

namespace Hypervisor.Tests.Devices.Bus;

public sealed class MmioBusTests
{
    private readonly MmioBus _bus = new();
    private readonly RegisterBank _device = new(0x10);
    private readonly RegisterBank _other = new(0x80);

    [Fact]
    public void Unclaimed_addresses_float_high_and_drop_writes()
    {
        _bus.Write(0xF000_0000, 8, 5);

        Assert.Equal(0xFFu, _bus.Read(0xF000_0000, 1));
        Assert.Equal(0xFFFF_FFFFu, _bus.Read(0xF000_0000, 4));
        Assert.Equal(ulong.MaxValue, _bus.Read(ulong.MaxValue, 8));
        Assert.False(_bus.IsClaimed(0xF000_0000));
    }

    [Fact]
    public void Overlap_is_refused_and_names_both()
    {
        _bus.Register("first", 0xFEC0_0000, 0x1000, _device);

        BusConflictException conflict = Assert.Throws<BusConflictException>(
            () => _bus.Register("second", 0xFEC0_0FFF, 2, _other));

        Assert.Equal("addresses of second (FEC00FFF-FEC01000) overlap first (FEC00000-FEC00FFF)", conflict.Message);
        Assert.False(_bus.IsClaimed(0xFEC0_1000));
    }

    [Fact]
    public void Access_wider_than_the_device_takes_is_split_lowest_first()
    {
        _bus.Register("words", 0x1000_0000, 0x100, _device, accessBytesMax: 4);

        _bus.Write(0x1000_0008, 8, 0x8877_6655_4433_2211);

        Assert.Equal([(8, 4, 0x4433_2211), (12, 4, 0x8877_6655)], _device.Writes);
        Assert.Equal(0x1F1E_1D1C_1B1A_1918u, _bus.Read(0x1000_0008, 8));
    }

    [Fact]
    public void Access_across_an_edge_is_split_into_aligned_pieces()
    {
        _bus.Register("low", 0x1000, 0x100, _device);

        _bus.Write(0x10FA, 8, 0x8877_6655_4433_2211);

        Assert.Equal([(0xFA, 2, 0x2211), (0xFC, 4, 0x6655_4433)], _device.Writes);
        Assert.Equal(0xFFFF_1F1E_1D1C_1B1Au, _bus.Read(0x10FA, 8));
    }

    [Fact]
    public void Every_device_of_many_is_found()
    {
        for (int i = 0; i < 20; i++)
        {
            _bus.Register($"device {i}", 0x1000ul * (ulong)(i * 7 % 20 * 2), 0x1000, new RegisterBank((byte)i));
        }

        for (int i = 0; i < 20; i++)
        {
            ulong gpa = 0x1000ul * (ulong)(i * 7 % 20 * 2);
            Assert.Equal((ulong)i, _bus.Read(gpa, 1));
            Assert.False(_bus.IsClaimed(gpa + 0x1000));
        }
    }

    [Fact]
    public void Window_moves_and_goes()
    {
        MmioWindow window = _bus.AddWindow("BAR", 0x4000, _device);
        window.Map(0xC000_0000);
        Assert.Equal(0x10u, _bus.Read(0xC000_0000, 1));

        window.Map(0xE000_0000_0000);
        Assert.Equal(0xFFu, _bus.Read(0xC000_0000, 1));
        Assert.Equal(0x1Fu, _bus.Read(0xE000_0000_3FFF, 1));

        window.Map(ulong.MaxValue - 0x1000);
        Assert.False(window.IsMapped);
        window.Map(0xC000_0000);
        window.Unmap();
        Assert.False(_bus.IsClaimed(0xC000_0000));
    }

    [Fact]
    public void Overlapping_windows_look_the_same_in_whatever_order_they_came()
    {
        ReadOnlySpan<ulong> probes = [0xBFFF, 0xC000, 0xCFFF, 0xD000, 0xDFFF, 0xE000, 0xEFFF, 0xF000, 0xFFFF, 0x1_0000];
        foreach (ulong probe in probes)
        {
            Assert.Equal(NewOverlap(earlyFirst: true).Read(probe, 1), NewOverlap(earlyFirst: false).Read(probe, 1));
        }

        MmioBus bus = NewOverlap(earlyFirst: false);
        Assert.Equal(0x40u, bus.Read(0xC000, 1)); // late, before early
        Assert.Equal(0x10u, bus.Read(0xD000, 1)); // early hides late
        Assert.Equal(0x80u, bus.Read(0xE000, 1)); // fixed hides both
        Assert.Equal(0x10u, bus.Read(0xF000, 1)); // early goes on behind the fixed one
        Assert.False(bus.IsClaimed(0x1_0000));
    }

    private static MmioBus NewOverlap(bool earlyFirst)
    {
        var bus = new MmioBus();
        MmioWindow early = bus.AddWindow("early", 0x3000, new RegisterBank(0x10));
        MmioWindow late = bus.AddWindow("late", 0x4000, new RegisterBank(0x40));
        bus.Register("fixed", 0xE000, 0x1000, new RegisterBank(0x80));
        (earlyFirst ? early : late).Map(earlyFirst ? 0xD000ul : 0xC000ul);
        (earlyFirst ? late : early).Map(earlyFirst ? 0xC000ul : 0xD000ul);
        return bus;
    }
}
