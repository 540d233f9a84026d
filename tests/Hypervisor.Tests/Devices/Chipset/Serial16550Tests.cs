using System;
using System.Text;
using Hypervisor.Core.State;
using Hypervisor.Devices.Chipset;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Devices.Chipset;

public sealed class Serial16550Tests : IDisposable
{
    private const int Irq = 4;
    private const ushort Data = 0x3F8;
    private const ushort Ier = 0x3F9;
    private const ushort Iir = 0x3FA;
    private const ushort Fcr = 0x3FA;
    private const ushort Lcr = 0x3FB;
    private const ushort Mcr = 0x3FC;
    private const ushort Lsr = 0x3FD;
    private const ushort Msr = 0x3FE;
    private const ushort Scratch = 0x3FF;

    private readonly DeviceHarness _harness = new();
    private readonly PortDriver _io = new();
    private readonly RecordingStream _stream = new();
    private readonly Serial16550 _uart;
    private int _rooms;

    public Serial16550Tests()
    {
        _uart = NewUart();
        _uart.Attach(_io.Ports, Data);
    }

    public void Dispose()
    {
        _stream.Dispose();
        _harness.Dispose();
    }

    [Fact]
    public void Each_byte_goes_out_at_once()
    {
        _io.Out(Data, (byte)'h', (byte)'i');

        Assert.Equal("hi", _stream.Text);
        Assert.Equal(2, _stream.Writes.Count);
        Assert.Equal(0x60, _io.In(Lsr));
    }

    [Fact]
    public void Divisor_latch_hides_data_and_interrupt_enable()
    {
        _io.Out(Ier, 0xFF);
        _io.Out(Lcr, 0x83);
        _io.Out(Data, 0x0C);
        _io.Out(Ier, 0x01);

        Assert.Equal(0x0C, _io.In(Data));
        Assert.Equal(0x01, _io.In(Ier));
        Assert.Empty(_stream.Writes);
        _io.Out(Lcr, 0x03);
        Assert.Equal(0x0F, _io.In(Ier));
    }

    // drivers/tty/serial/8250/8250_port.c, autoconfig(): what Linux does to find a 16550A.
    [Fact]
    public void Linux_autoconfig_finds_a_16550A()
    {
        _io.Out(Ier, 0x00);
        Assert.Equal(0x00, _io.In(Ier) & 0x0F);
        _io.Out(Ier, 0x0F);
        Assert.Equal(0x0F, _io.In(Ier) & 0x0F);
        _io.Out(Ier, 0x00);

        _io.Out(Mcr, 0x1A);
        Assert.Equal(0x90, _io.In(Msr) & 0xF0);
        _io.Out(Mcr, 0x00);

        _io.Out(Lcr, 0xBF); // EFR of better chips: here the divisor is open
        _io.Out(Lcr, 0x00);
        _io.Out(Fcr, 0x01);
        Assert.Equal(0xC0, _io.In(Iir) & 0xC0);
        _io.Out(Scratch, 0x5A);
        Assert.Equal(0x5A, _io.In(Scratch));
    }

    // serial8250_do_startup(): a UART without the THRE bug asks each time that THRI is switched on.
    [Fact]
    public void Enabling_the_transmit_interrupt_asks_each_time()
    {
        _io.Out(Mcr, 0x08);
        for (int i = 0; i < 2; i++)
        {
            _io.Out(Ier, 0x02);
            Assert.True(_harness.IsHigh(Irq));
            Assert.Equal(0x02, _io.In(Iir));
            Assert.False(_harness.IsHigh(Irq));
            Assert.Equal(0x01, _io.In(Iir));
            _io.Out(Ier, 0x00);
        }
    }

    [Fact]
    public void Each_transmitted_byte_makes_an_edge()
    {
        _io.Out(Mcr, 0x08);
        _io.Out(Ier, 0x02);
        int before = _harness.RisingEdges(Irq);

        _io.Out(Data, 1, 2);
        Assert.Equal(before + 2, _harness.RisingEdges(Irq));
        _io.In(Iir);
        _io.Out(Data, 3);
        Assert.Equal(before + 3, _harness.RisingEdges(Irq));
    }

    [Fact]
    public void Interrupts_need_out2()
    {
        _io.Out(Ier, 0x02);
        Assert.False(_harness.IsHigh(Irq));

        _io.Out(Mcr, 0x08);
        Assert.True(_harness.IsHigh(Irq));
    }

    [Fact]
    public void Receiver_without_fifo_takes_one_byte()
    {
        _io.Out(Mcr, 0x08);
        _io.Out(Ier, 0x01);

        Assert.Equal(1, Receive("ab"));
        Assert.Equal(0x61, _io.In(Lsr));
        Assert.Equal(0x04, _io.In(Iir));
        Assert.Equal(0, Receive("b"));
        Assert.Equal(0, _rooms);

        Assert.Equal((byte)'a', _io.In(Data));
        Assert.Equal(1, _rooms);
        Assert.False(_harness.IsHigh(Irq));
        Assert.Equal(0x60, _io.In(Lsr));
    }

    [Fact]
    public void Fifo_takes_sixteen_in_order_and_tells_about_room_once()
    {
        _io.Out(Fcr, 0x01);
        _rooms = 0;

        Assert.Equal(16, Receive("0123456789abcdefXY"));
        Assert.Equal(0, Receive("X"));
        foreach (byte expected in "0123456789abcdef"u8)
        {
            Assert.Equal(expected, _io.In(Data));
        }

        Assert.Equal(1, _rooms);
        Assert.Equal((byte)'f', _io.In(Data)); // an empty receiver repeats itself
    }

    [Theory]
    [InlineData(0x01, 1)]
    [InlineData(0x41, 4)]
    [InlineData(0x81, 8)]
    [InlineData(0xC1, 14)]
    public void Trigger_level_decides_when_data_is_announced(byte control, int level)
    {
        _io.Out(Mcr, 0x08);
        _io.Out(Ier, 0x01);
        _io.Out(Fcr, control);
        Receive(new string('x', level - 1));
        Assert.False(_harness.IsHigh(Irq));

        Receive("y");

        Assert.True(_harness.IsHigh(Irq));
        Assert.Equal(0xC4, _io.In(Iir));
        _io.In(Data);
        Assert.False(_harness.IsHigh(Irq));
    }

    [Fact]
    public void Few_characters_are_announced_after_four_character_times()
    {
        Program115200Baud(fifoControl: 0x81);
        Receive("ab");

        _harness.Advance((4 * 10 * 1_000_000_000L / 115_200) - 1);
        Assert.False(_harness.IsHigh(Irq));
        _harness.Advance(1);
        Assert.True(_harness.IsHigh(Irq));
        Assert.Equal(0xCC, _io.In(Iir));

        _io.In(Data); // serves it, and starts over for the rest
        Assert.Equal(0xC1, _io.In(Iir));
        _harness.Advance(1_000_000);
        Assert.Equal(0xCC, _io.In(Iir));
        _io.In(Data);
        _harness.Advance(1_000_000);
        Assert.Equal(0xC1, _io.In(Iir));
    }

    [Fact]
    public void Interrupts_are_identified_by_priority()
    {
        _io.Out(Fcr, 0x01);
        _io.Out(Ier, 0x0F);
        _io.Out(Mcr, 0x10);
        _io.Out(Mcr, 0x00); // modem lines changed twice
        Receive("a");
        Assert.True(_uart.TryReceiveBreak());
        _io.In(Data); // the break comes to the top
        Assert.Equal(0xC6, _io.In(Iir));
        Assert.Equal(0xF1, _io.In(Lsr)); // error in FIFO, break, data
        Assert.Equal(0xC4, _io.In(Iir));
        Assert.Equal(0, _io.In(Data));
        Assert.Equal(0xC2, _io.In(Iir));
        Assert.Equal(0xC0, _io.In(Iir));
        Assert.Equal(0x0B, _io.In(Msr) & 0x0F);
        Assert.Equal(0xC1, _io.In(Iir));
    }

    [Fact]
    public void Loopback_returns_what_is_sent_and_hides_the_line()
    {
        _io.Out(Mcr, 0x10);
        _io.Out(Data, 0x5A);

        Assert.Empty(_stream.Writes);
        Assert.Equal(0, Receive("x"));
        Assert.Equal(0x61, _io.In(Lsr));
        Assert.Equal(0x5A, _io.In(Data));

        _rooms = 0;
        _io.Out(Mcr, 0x00);
        Assert.Equal(1, _rooms);
        Assert.Equal(1, Receive("x"));
    }

    [Fact]
    public void Loopback_overruns()
    {
        _io.Out(Mcr, 0x10);
        _io.Out(Data, 1, 2);
        Assert.Equal(0x63, _io.In(Lsr));
        Assert.Equal(0x61, _io.In(Lsr)); // reading forgets it
        Assert.Equal(2, _io.In(Data));   // the only one was overwritten

        _io.Out(Fcr, 0x01);
        for (byte i = 1; i <= 17; i++)
        {
            _io.Out(Data, i);
        }

        Assert.Equal(0x63, _io.In(Lsr));
        Assert.Equal(1, _io.In(Data));   // a FIFO keeps what it has
    }

    [Fact]
    public void Loopback_break_arrives_as_zero_with_break()
    {
        _io.Out(Fcr, 0x01);
        _io.Out(Mcr, 0x10);
        _io.Out(Lcr, 0x43);

        Assert.Equal(0xF1, _io.In(Lsr));
        Assert.Equal(0x61, _io.In(Lsr));
        Assert.Equal(0, _io.In(Data));
    }

    [Theory]
    [InlineData(0x01, 0x20)] // DTR is DSR
    [InlineData(0x02, 0x10)] // RTS is CTS
    [InlineData(0x04, 0x40)] // OUT1 is RI
    [InlineData(0x08, 0x80)] // OUT2 is DCD
    public void Loopback_turns_the_modem_lines_round(byte control, byte status)
    {
        _io.Out(Mcr, 0x10);
        _io.In(Msr);

        _io.Out(Mcr, (byte)(0x10 | control));
        byte delta = status == 0x40 ? (byte)0 : (byte)(status >> 4);
        Assert.Equal(status | delta, _io.In(Msr));
        Assert.Equal(status, _io.In(Msr));

        _io.Out(Mcr, 0x10);
        Assert.Equal(status >> 4, _io.In(Msr)); // the ring's trailing edge counts
    }

    [Fact]
    public void Fifo_control_clears_on_request_and_on_change()
    {
        _io.Out(Fcr, 0x01);
        Receive("abc");
        _io.Out(Fcr, 0x03);
        Assert.Equal(0x60, _io.In(Lsr));

        Receive("abc");
        _io.Out(Fcr, 0x00);
        Assert.Equal(0x60, _io.In(Lsr));
        Assert.Equal(0x01, _io.In(Iir));
        Assert.Equal(3, _rooms); // enabled, cleared, disabled
    }

    [Fact]
    public void Modem_lines_of_the_peer_are_up()
        => Assert.Equal(0xB0, _io.In(Msr));

    [Fact]
    public void Reset_returns_to_power_on()
    {
        Program115200Baud(fifoControl: 0xC1);
        Receive("abc");

        _uart.Reset();

        Assert.False(_harness.IsHigh(Irq));
        Assert.Equal(0x01, _io.In(Iir));
        Assert.Equal(0x60, _io.In(Lsr));
        Assert.Equal(long.MaxValue, _harness.Timers.NextDeadlineNanos);
    }

    [Fact]
    public void Checkpoint_carries_every_field() => CheckpointAssert.RoundTrips(NewUart, uart =>
    {
        var io = new PortDriver();
        uart.Attach(io.Ports, Data);
        io.Out(Lcr, 0x80);
        io.Out(Data, 0x07);
        io.Out(Lcr, 0x03);
        io.Out(Ier, 0x0F);
        io.Out(Fcr, 0xC9);
        io.Out(Mcr, 0x1F); // looped: modem status moves
        io.Out(Data, 0x41, 0x42);
        io.In(Data);
        io.Out(Lcr, 0x43);  // a break behind the character
        for (int i = 0; i < 16; i++)
        {
            io.Out(Data, 0x43); // and an overrun
        }

        io.Out(Scratch, 0x5A);
        _harness.Advance(10_000_000); // character timeout
    });

    [Fact]
    public void Load_drives_the_interrupt_and_keeps_the_characters()
    {
        Program115200Baud(fifoControl: 0x01);
        Receive("abc");
        byte[] section = new byte[512];
        CheckpointSection.Write(_uart, section);
        _uart.Reset();

        CheckpointSection.Read(_uart, section);

        Assert.True(_harness.IsHigh(Irq));
        foreach (byte expected in "abc"u8)
        {
            Assert.Equal(expected, _io.In(Data));
        }
    }

    [Fact]
    public void Damage_is_refused() => CheckpointAssert.RefusesDamage(NewUart);

    private Serial16550 NewUart()
        => new(_harness.Context, _harness.Context.Line(Irq), _stream, instance: 0, () => _rooms++);

    private int Receive(string text) => _uart.Receive(Encoding.ASCII.GetBytes(text));

    private void Program115200Baud(byte fifoControl)
    {
        _io.Out(Lcr, 0x80);
        _io.Out(Data, 1);
        _io.Out(Ier, 0);
        _io.Out(Lcr, 0x03);
        _io.Out(Fcr, fifoControl);
        _io.Out(Mcr, 0x0B);
        _io.Out(Ier, 0x01);
    }
}
