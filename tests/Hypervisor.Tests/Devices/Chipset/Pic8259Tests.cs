using System.Collections.Generic;
using Hypervisor.Core.State;
using Hypervisor.Devices.Chipset;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Devices.Chipset;

public sealed class Pic8259Tests
{
    private readonly PortDriver _io = new();
    private readonly List<bool> _intr = [];
    private readonly Pic8259 _pic;

    public Pic8259Tests()
    {
        _pic = new Pic8259(_intr.Add);
        _pic.Attach(_io.Ports);
    }

    [Fact]
    public void Linux_init_gives_vectors_30_and_38()
    {
        InitAsLinux();
        _io.Out(0x21, 0xFA); // IRQ 0 and the cascade
        _io.Out(0xA1, 0xFE); // IRQ 8

        _pic.Drive(0, true);
        Assert.True(_pic.IsRequesting);
        Assert.True(_intr[^1]);
        Assert.Equal(0x30, _pic.Acknowledge());
        Assert.False(_intr[^1]);
        _io.Out(0x20, 0x60);

        _pic.Drive(8, true);
        Assert.Equal(0x38, _pic.Acknowledge());
        Assert.Equal(0xFA, _io.In(0x21));
    }

    [Fact]
    public void Masked_request_waits_for_the_unmask()
    {
        InitAsLinux();
        _pic.Drive(4, true);
        Assert.False(_pic.IsRequesting);
        Assert.Equal(0x10, _io.In(0x20)); // in IRR

        _io.Out(0x21, 0xEF);

        Assert.True(_pic.IsRequesting);
        Assert.Equal(0x34, _pic.Acknowledge());
    }

    [Fact]
    public void Edge_stays_latched_when_its_line_falls()
    {
        Init(0x00, 0x00);
        _pic.Drive(0, true);
        _pic.Drive(0, false);

        Assert.Equal(0x30, _pic.Acknowledge());
        _io.Out(0x20, 0x20);
        Assert.False(_pic.IsRequesting);
    }

    [Fact]
    public void Held_edge_asks_once()
    {
        Init(0x00, 0x00);
        _pic.Drive(3, true);
        _pic.Acknowledge();
        _io.Out(0x20, 0x20);
        _pic.Drive(3, true);

        Assert.False(_pic.IsRequesting);
    }

    [Fact]
    public void Level_asks_again_until_it_falls()
    {
        Init(0x00, 0x00);
        _io.Out(0x4D1, 0x0C); // IRQ 10, 11
        Assert.Equal(0x0C, _io.In(0x4D1));
        _pic.Drive(11, true);

        Assert.Equal(0x3B, _pic.Acknowledge());
        _io.Out(0xA0, 0x20);
        _io.Out(0x20, 0x20);
        Assert.Equal(0x3B, _pic.Acknowledge());
        _pic.Drive(11, false);
        _io.Out(0xA0, 0x20);
        _io.Out(0x20, 0x20);
        Assert.False(_pic.IsRequesting && _pic.Acknowledge() == 0x3B);
    }

    [Fact]
    public void Elcr_refuses_the_edge_only_inputs()
    {
        _io.OutWord(0x4D0, 0xFFFF);

        Assert.Equal(0xDEF8, _io.InWord(0x4D0));
    }

    [Fact]
    public void Vanished_level_is_spurious_irq_7_and_15_without_service()
    {
        Init(0x00, 0x00);
        _io.Out(0x4D0, 0x20, 0x20);
        _io.Out(0x4D1, 0x04);
        _pic.Drive(5, true);
        _pic.Drive(5, false);
        Assert.Equal(0x37, _pic.Acknowledge());
        _io.Out(0x20, 0x0B);
        Assert.Equal(0, _io.In(0x20)); // ISR

        _pic.Drive(10, true);
        _pic.Drive(10, false);
        Assert.Equal(0x3F, _pic.Acknowledge());
        _io.Out(0xA0, 0x0B);
        Assert.Equal(0, _io.In(0xA0));
        Assert.Equal(0x04, _io.In(0x20)); // the primary did serve its cascade
    }

    [Fact]
    public void Higher_priority_interrupts_lower_service_and_not_the_other_way()
    {
        Init(0x00, 0x00);
        _pic.Drive(4, true);
        _pic.Acknowledge();

        _pic.Drive(6, true);
        Assert.False(_pic.IsRequesting);
        _pic.Drive(1, true);
        Assert.Equal(0x31, _pic.Acknowledge());

        _io.Out(0x20, 0x20); // ends 1
        _io.Out(0x20, 0x20); // ends 4
        Assert.Equal(0x36, _pic.Acknowledge());
    }

    [Fact]
    public void Second_request_of_the_secondary_comes_after_both_ends()
    {
        Init(0x00, 0x00);
        _pic.Drive(14, true);
        _pic.Drive(15, true);
        Assert.Equal(0x3E, _pic.Acknowledge());
        Assert.False(_pic.IsRequesting);

        _io.Out(0xA0, 0x66);
        _io.Out(0x20, 0x62);

        Assert.Equal(0x3F, _pic.Acknowledge());
    }

    [Fact]
    public void Special_fully_nested_primary_lets_the_secondary_interrupt_itself()
    {
        Init(icw4: 0x11, secondaryIcw4: 0x01);
        _pic.Drive(12, true);
        Assert.Equal(0x3C, _pic.Acknowledge());

        _pic.Drive(9, true);

        Assert.Equal(0x39, _pic.Acknowledge());
    }

    [Fact]
    public void Special_mask_mode_admits_all_that_is_not_masked()
    {
        Init(0x00, 0x00);
        _pic.Drive(1, true);
        _pic.Acknowledge();
        _pic.Drive(5, true);
        Assert.False(_pic.IsRequesting);

        _io.Out(0x21, 0x02); // mask what is in service
        _io.Out(0x20, 0x68);
        Assert.Equal(0x35, _pic.Acknowledge());

        _io.Out(0x20, 0x20); // passes over the masked IRQ 1
        _io.Out(0x20, 0x0B);
        Assert.Equal(0x02, _io.In(0x20));
        _io.Out(0x20, 0x48);
        _io.Out(0x20, 0x20);
        Assert.Equal(0x00, _io.In(0x20));
    }

    [Fact]
    public void Automatic_end_leaves_nothing_in_service()
    {
        Init(icw4: 0x03, secondaryIcw4: 0x03);
        _pic.Drive(4, true);
        _pic.Acknowledge();

        _io.Out(0x20, 0x0B);
        Assert.Equal(0, _io.In(0x20));
        _pic.Drive(8, true);
        _pic.Drive(9, true);
        Assert.Equal(0x38, _pic.Acknowledge());
        Assert.Equal(0x39, _pic.Acknowledge());
        Assert.False(_pic.IsRequesting);
    }

    [Fact]
    public void Rotation_moves_the_served_input_to_the_end()
    {
        Init(0x00, 0x00);
        _pic.Drive(3, true);
        _pic.Acknowledge();
        _io.Out(0x20, 0xA0); // rotate on non-specific EOI: 3 is lowest now

        _pic.Drive(1, true);
        _pic.Drive(5, true);
        Assert.Equal(0x35, _pic.Acknowledge());
        _io.Out(0x20, 0xE5); // rotate on specific EOI of 5
        Assert.Equal(0x31, _pic.Acknowledge());
        _io.Out(0x20, 0x61, 0xC1); // end it, and set priority: 1 lowest

        _pic.Drive(1, false);
        _pic.Drive(1, true);
        _pic.Drive(4, true);
        Assert.Equal(0x34, _pic.Acknowledge());
    }

    [Fact]
    public void Rotation_in_automatic_end_mode_shares_out()
    {
        Init(icw4: 0x03, secondaryIcw4: 0x01);
        _io.Out(0x20, 0x80);
        _pic.Drive(1, true);
        Assert.Equal(0x31, _pic.Acknowledge());
        _pic.Drive(1, false);
        _pic.Drive(1, true);
        _pic.Drive(6, true);
        Assert.Equal(0x36, _pic.Acknowledge());
        _io.Out(0x20, 0x00); // rotation off
        Assert.Equal(0x31, _pic.Acknowledge());
    }

    [Fact]
    public void Poll_takes_a_request_without_inta()
    {
        Init(0x00, 0x00);
        _io.Out(0x20, 0x0C);
        Assert.Equal(0x00, _io.In(0x20));

        _pic.Drive(6, true);
        _io.Out(0x20, 0x0C);
        Assert.Equal(0x86, _io.In(0x20));
        Assert.False(_pic.IsRequesting);
        _io.Out(0x20, 0x0B);
        Assert.Equal(0x40, _io.In(0x20));
    }

    [Fact]
    public void Init_forgets_edges_service_and_masks()
    {
        Init(0x00, 0x00);
        _pic.Drive(4, true);
        _pic.Drive(5, true);
        _pic.Acknowledge();
        _io.Out(0x21, 0xFF);

        _io.Out(0x20, 0x11);

        Assert.Equal(0, _io.In(0x20));
        Assert.False(_pic.IsRequesting);
        _io.Out(0x21, 0x40, 0x04, 0x01);
        Assert.Equal(0x00, _io.In(0x21));
        _pic.Drive(4, false);
        _pic.Drive(4, true);
        Assert.Equal(0x44, _pic.Acknowledge());
    }

    [Fact]
    public void Single_mode_without_icw4_has_two_words()
    {
        _io.Out(0x20, 0x12);
        _io.Out(0x21, 0x50, 0xFB);

        Assert.Equal(0xFB, _io.In(0x21));
    }

    [Fact]
    public void Reset_takes_back_everything_but_the_lines()
    {
        Init(0x00, 0x00);
        _io.Out(0x4D0, 0x20);
        _pic.Drive(4, true);

        _pic.Reset();

        Assert.False(_pic.IsRequesting);
        Assert.False(_intr[^1]);
        Assert.Equal(0, _io.In(0x4D0));
    }

    [Fact]
    public void Checkpoint_carries_every_field()
        => CheckpointAssert.RoundTrips(() => new Pic8259(_ => { }), FillModes, EndAutomatically, StopInsideInit);

    [Fact]
    public void Load_drives_intr_again()
    {
        Init(0x00, 0x00);
        _pic.Drive(5, true);
        byte[] section = new byte[256];
        CheckpointSection.Write(_pic, section);
        var intr = new List<bool>();
        var restored = new Pic8259(intr.Add);

        CheckpointSection.Read(restored, section);
        restored.Drive(5, true); // the device drives its line again: no edge

        Assert.True(intr[^1]);
        Assert.Equal(0x35, restored.Acknowledge());
        _io.Out(0x20, 0x20);
        Assert.False(restored.IsRequesting);
    }

    [Fact]
    public void Damage_is_refused() => CheckpointAssert.RefusesDamage(() => new Pic8259(_ => { }));

    private static void FillModes(Pic8259 pic)
    {
        var io = new PortDriver();
        pic.Attach(io.Ports);
        io.Out(0x4D0, 0x20);
        io.Out(0x4D1, 0x02);
        foreach (ushort port in (ushort[])[0x20, 0xA0])
        {
            ushort odd = (ushort)(port + 1);
            io.Out(port, 0x11);
            io.Out(odd, 0x48, 0x04, 0x11); // special fully nested
            pic.Drive(port == 0x20 ? 6 : 14, true);
            io.Out(port, 0x0C);
            io.In(port); // takes it into service
            io.Out(port, 0x80, 0xC3, 0x6B);
            io.Out(odd, 0xA1);
            pic.Drive(port == 0x20 ? 4 : 12, true);
            io.Out(port, 0x0C); // a poll that is due
        }
    }

    private static void EndAutomatically(Pic8259 pic)
    {
        var io = new PortDriver();
        pic.Attach(io.Ports);
        foreach (ushort port in (ushort[])[0x20, 0xA0])
        {
            io.Out(port, 0x13);
            io.Out((ushort)(port + 1), 0x48, 0x03); // automatic end
        }
    }

    private static void StopInsideInit(Pic8259 pic)
    {
        var io = new PortDriver();
        pic.Attach(io.Ports);
        io.Out(0x20, 0x13);
        io.Out(0xA0, 0x13);
    }

    // arch/x86/kernel/i8259.c has this order: everything masked first and last.
    private void InitAsLinux()
    {
        _io.Out(0x21, 0xFF);
        _io.Out(0x20, 0x11);
        _io.Out(0x21, 0x30, 0x04, 0x01);
        _io.Out(0xA0, 0x11);
        _io.Out(0xA1, 0x38, 0x02, 0x01);
        _io.Out(0x21, 0xFF);
        _io.Out(0xA1, 0xFF);
    }

    private void Init(byte icw4, byte secondaryIcw4)
    {
        _io.Out(0x20, 0x11);
        _io.Out(0x21, 0x30, 0x04, icw4);
        _io.Out(0xA0, 0x11);
        _io.Out(0xA1, 0x38, 0x02, secondaryIcw4);
    }
}
