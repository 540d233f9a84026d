using System;
using Hypervisor.Devices.Chipset;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Devices.Chipset;

public sealed class I8042Tests : IDisposable
{
    private const int KeyboardIrq = 1;
    private const int MouseIrq = 12;

    private readonly DeviceHarness _harness = new();
    private readonly PortDriver _io = new();
    private readonly A20Gate _a20 = new(_ => { });
    private readonly I8042 _controller;
    private int _resets;

    public I8042Tests()
    {
        _controller = NewController();
        _controller.Attach(_io.Ports);
    }

    public void Dispose() => _harness.Dispose();

    // drivers/input/serio/i8042.c: flush, read the config, self-test, AUX loop, AUX test, toggle, enable.
    [Fact]
    public void Linux_probes_cleanly()
    {
        Assert.Equal(0x00, _io.In(0x64) & 0x01);
        Assert.Equal(0x55, Ask(0xAA));
        Assert.Equal(0x04, _io.In(0x64) & 0x04);
        byte config = Ask(0x20);
        Assert.Equal(0x03 | 0x04, config);
        Command(0x60, (byte)((config | 0x50) & ~0x03));
        Assert.Equal(0x54, Ask(0x20));

        Command(0xD3, 0x5A);
        Assert.Equal(0x21, _io.In(0x64) & 0x21);
        Assert.Equal(0x5A, _io.In(0x60));
        Assert.Equal(0x00, Ask(0xA9));
        Command(0xA7);
        Assert.Equal(0x20, Ask(0x20) & 0x20);
        Command(0xA8);
        Assert.Equal(0x00, Ask(0x20) & 0x20);
        Assert.Equal(0x00, Ask(0xAB));

        Command(0x60, 0x47);
        Command(0xD3, 0xA5); // the AUX interrupt test
        Assert.True(_harness.IsHigh(MouseIrq));
        Assert.Equal(0xA5, _io.In(0x60));
        Assert.False(_harness.IsHigh(MouseIrq));
    }

    [Fact]
    public void Keyboard_resets_identifies_and_enables()
    {
        Command(0x60, 0x45);
        _io.Out(0x60, 0xFF);
        Assert.Equal([0xFA, 0xAA], Drain());
        _io.Out(0x60, 0xF2);
        Assert.Equal([0xFA, 0xAB, 0x41], Drain()); // translated
        Command(0x60, 0x05);
        _io.Out(0x60, 0xF2);
        Assert.Equal([0xFA, 0xAB, 0x83], Drain());

        _io.Out(0x60, 0xED, 0x07, 0xF3, 0x00, 0xEE, 0xF4, 0x01);
        Assert.Equal([0xFA, 0xFA, 0xFA, 0xFA, 0xEE, 0xFA, 0xFE], Drain());
        Assert.Equal(7, _controller.KeyboardLeds);
        _io.Out(0x60, 0xF0, 0x00, 0xF0, 0x01, 0xF0, 0x00, 0xF0, 0x03);
        Assert.Equal([0xFA, 0xFA, 0x02, 0xFA, 0xFA, 0xFA, 0xFA, 0x01, 0xFA, 0xFE], Drain());
    }

    [Fact]
    public void Keys_come_as_set_1_when_translated_and_set_2_when_not()
    {
        Command(0x60, 0x41);
        Assert.True(_controller.TrySendKey(0x1E, isDown: true));
        Assert.True(_controller.TrySendKey(0x1E, isDown: false));
        Assert.True(_controller.TrySendKey(0xE048, isDown: true));
        Assert.Equal([0x1E, 0x9E, 0xE0, 0x48], Drain());

        Command(0x60, 0x01);
        _controller.TrySendKey(0x1E, isDown: true);
        _controller.TrySendKey(0x1E, isDown: false);
        _controller.TrySendKey(0xE048, isDown: true);
        Assert.Equal([0x1C, 0xF0, 0x1C, 0xE0, 0x75], Drain());
    }

    [Fact]
    public void Each_byte_makes_an_edge()
    {
        Command(0x60, 0x41);
        _controller.TrySendKey(0x1E, isDown: true);
        _controller.TrySendKey(0x1E, isDown: false);
        Assert.Equal(1, _harness.RisingEdges(KeyboardIrq));

        _io.In(0x60);
        Assert.Equal(2, _harness.RisingEdges(KeyboardIrq));
        _io.In(0x60);
        Assert.False(_harness.IsHigh(KeyboardIrq));
        Assert.Equal(0x9E, _io.In(0x60)); // an empty buffer repeats itself
    }

    [Fact]
    public void Keys_wait_for_the_interface_and_are_lost_beyond_the_buffer()
    {
        Command(0xAD);
        int sent = 0;
        while (_controller.TrySendKey(0x1E, isDown: true))
        {
            sent++;
        }

        Assert.InRange(sent, 10, 16);
        Assert.Equal(0x00, _io.In(0x64) & 0x01);
        Command(0xAE);
        Assert.Equal(sent, Drain().Length);

        _io.Out(0x60, 0xF5);
        Drain();
        Assert.False(_controller.TrySendKey(0x1E, isDown: true));
    }

    [Fact]
    public void Commands_without_end_are_bounded()
    {
        for (int i = 0; i < 1_000; i++)
        {
            _io.Out(0x60, 0xF2);
            Command(0xD4, 0xE9);
        }

        Assert.InRange(Drain().Length, 1, 70);
    }

    [Fact]
    public void Mouse_answers_what_psmouse_asks()
    {
        Assert.Equal([0xFA, 0xAA, 0x00], AskMouse(0xFF));
        Assert.Equal([0xFA, 0x00], AskMouse(0xF2));
        Assert.Equal([0xFA, 0xFA], AskMouse(0xE8, 0x03));
        Assert.Equal([0xFA, 0xFA], AskMouse(0xF3, 0x28));
        Assert.Equal([0xFA, 0xFA, 0xFA], AskMouse(0xE7, 0xF0, 0xF4));
        Assert.Equal([0xFA, 0x70, 0x03, 0x28], AskMouse(0xE9));
        Assert.Equal([0xFA, 0xFA, 0xFA], AskMouse(0xE6, 0xEA, 0xF5));
        Assert.Equal([0xFA, 0x00, 0x03, 0x28], AskMouse(0xE9));
        Assert.Equal([0xFA, 0x08, 0x00, 0x00], AskMouse(0xEB));
        Assert.Equal([0xFA, 0x55, 0xF2, 0xFA], AskMouse(0xEE, 0x55, 0xF2, 0xEC));
        Assert.Equal([0xFE], AskMouse(0x10));
        Assert.Equal([0xFA], AskMouse(0xF6));
        Assert.Equal([0xFA, 0x00, 0x02, 0x64], AskMouse(0xE9));
    }

    [Fact]
    public void Output_port_has_a20_and_reset()
    {
        Assert.Equal(0x03, Ask(0xD0));
        Command(0xD1, 0xDD);
        Assert.False(_a20.IsOpen);
        Assert.Equal(0x01, Ask(0xD0));
        Command(0xD1, 0xDF);
        Assert.True(_a20.IsOpen);
        Command(0xDD);
        Assert.False(_a20.IsOpen);
        Command(0xDF);
        Assert.True(_a20.IsOpen);
        Assert.Equal(0, _resets);

        Command(0xD1, 0x02);
        Assert.Equal(1, _resets);
        Command(0xFE);
        Assert.Equal(2, _resets);
        Command(0xFF); // pulses nothing
        Assert.Equal(2, _resets);
    }

    [Fact]
    public void Status_tells_commands_from_data()
    {
        Command(0xC0);
        Assert.Equal(0x19, _io.In(0x64));
        Assert.Equal(0x80, _io.In(0x60));
        _io.Out(0x60, 0xEE);
        Assert.Equal(0x11, _io.In(0x64));
        Command(0xD2, 0x42); // waits behind the echo
        Assert.Equal([0xEE, 0x42], Drain());
    }

    [Fact]
    public void Reset_returns_to_power_on()
    {
        _controller.TrySendKey(0x1E, isDown: true);
        Ask(0xAA);
        Command(0x60, 0x74);

        _controller.Reset();

        Assert.False(_harness.IsHigh(KeyboardIrq));
        Assert.Equal(0x10, _io.In(0x64));
        Assert.Equal(0x03, Ask(0x20));
    }

    [Fact]
    public void Checkpoint_carries_every_field()
        => CheckpointAssert.RoundTrips(NewController, FillQueues, StopInsideCommand);

    [Fact]
    public void Damage_is_refused() => CheckpointAssert.RefusesDamage(NewController);

    private static void FillQueues(I8042 controller)
    {
        var io = new PortDriver();
        controller.Attach(io.Ports);
        io.Out(0x64, 0xAA, 0xD4);
        io.Out(0x60, 0xE7);       // mouse: status
        io.Out(0x64, 0xD4);
        io.Out(0x60, 0xE8);
        io.Out(0x64, 0xD4);
        io.Out(0x60, 0x03);
        io.Out(0x64, 0xD4);
        io.Out(0x60, 0xEE);       // wraps
        io.Out(0x60, 0xED, 0x05, 0xF0, 0x01, 0xF5, 0xF0);
        io.Out(0x64, 0xD3);
        io.Out(0x60, 0x42);       // an answer that waits
        io.Out(0x64, 0x60);       // a parameter that is due
    }

    private static void StopInsideCommand(I8042 controller)
    {
        var io = new PortDriver();
        controller.Attach(io.Ports);
        io.Out(0x60, 0xF0, 0x01);
        io.Out(0x64, 0xD3);
        io.Out(0x60, 0x42);
        io.In(0x60);              // the AUX answer is in the output buffer
        io.Out(0x64, 0xD4);
        io.Out(0x60, 0xF3);
        io.Out(0x64, 0xD4);
        io.Out(0x60, 0x50);
        io.Out(0x64, 0xD4);
        io.Out(0x60, 0xE8);       // a parameter that the mouse waits for
    }

    private I8042 NewController() => new(_harness.Context, _a20, () => _resets++);

    private void Command(byte command, params ReadOnlySpan<byte> parameters)
    {
        _io.Out(0x64, command);
        _io.Out(0x60, parameters);
    }

    private byte Ask(byte command)
    {
        Command(command);
        Assert.Equal(0x01, _io.In(0x64) & 0x21);
        return _io.In(0x60);
    }

    private byte[] AskMouse(params ReadOnlySpan<byte> bytes)
    {
        foreach (byte value in bytes)
        {
            Command(0xD4, value);
        }

        return Drain();
    }

    private byte[] Drain()
    {
        Span<byte> bytes = stackalloc byte[128];
        int count = 0;
        while ((_io.In(0x64) & 0x01) != 0)
        {
            bytes[count++] = _io.In(0x60);
        }

        return bytes[..count].ToArray();
    }
}
