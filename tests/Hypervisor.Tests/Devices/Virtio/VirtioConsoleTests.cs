using System;
using System.Text;
using Hypervisor.Devices.Virtio;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Devices.Virtio;

/// <summary>A console's two queues. Spec: VIRTIO 1.2, section 5.3.</summary>
public sealed class VirtioConsoleTests : IDisposable
{
    private const ulong Features = VirtioPciDriver.Version1;
    private const ulong Buffer = 0x20_0000;
    private const byte NeedsReset = 64;

    private readonly ToyConsole _stream = new();
    private readonly VirtioBench _bench;
    private VirtqueueDriver _receive = null!, _transmit = null!;

    public VirtioConsoleTests() => _bench = NewBench();

    private VirtioConsole Device => (VirtioConsole)_bench.Transport.Device;

    public void Dispose()
    {
        _bench.Dispose();
        _stream.Dispose();
    }

    [Fact]
    public void What_the_guest_sends_leaves_in_order()
    {
        VirtioPciDriver pci = Start(_bench);

        Send(pci, "one ");
        Send(pci, "two");

        Assert.Equal("one two", _stream.Text);
        Assert.Equal(2, _transmit.UsedIndex);
    }

    [Fact]
    public void Input_fills_the_buffers_that_there_are_and_the_rest_is_left()
    {
        Start(_bench);
        _receive.Add((Buffer, 4u, true));
        _receive.Add((Buffer + 64, 3u, true));

        Assert.Equal(7, Device.Receive("hello world"u8));
        Assert.Equal(0, Device.Receive("orld"u8));

        Assert.Equal("hell", Text(Buffer, 4));
        Assert.Equal("o w", Text(Buffer + 64, 3));
        Assert.True(_receive.TryTakeUsed(out _, out uint written));
        Assert.Equal(4u, written);
    }

    [Fact]
    public void Input_without_a_driver_is_left()
        => Assert.Equal(0, Device.Receive("x"u8));

    [Fact]
    public void Rule_23_guest_that_sends_without_end_sends_at_the_console_s_pace()
    {
        VirtioPciDriver pci = Start(_bench);
        string line = new('x', 1000);
        for (int second = 0; second < 4; second++)
        {
            for (int i = 0; i < 10; i++)
            {
                _bench.Harness.Advance(25_000_000);
                while (_transmit.TryTakeUsed(out _, out _))
                {
                    // Its descriptors are free again.
                }

                while (_transmit.FreeCount > 0)
                {
                    Send(pci, line, kicks: false);
                }

                pci.Kick(1);
            }
        }

        Assert.InRange(_stream.Text.Length, 300_000, VirtioConsole.BytesPerSecond + (1 << 15));
    }

    [Fact]
    public void Emergency_write_leaves_before_there_is_a_driver()
    {
        VirtioPciDriver pci = _bench.Probe();

        pci.WriteConfig(8, 4, 'A');

        Assert.StartsWith("A", _stream.Text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(VirtioConsole.ChainBytesMax, false)]
    [InlineData(VirtioConsole.ChainBytesMax + 1, true)]
    public void Chain_has_a_longest(int lengthBytes, bool breaks)
    {
        VirtioPciDriver pci = Start(_bench);

        _transmit.Add((Buffer, (uint)lengthBytes, false));
        pci.Kick(1);

        Assert.Equal(breaks ? NeedsReset : 0, pci.Status & NeedsReset);
        Assert.Equal(breaks ? 0 : lengthBytes, _stream.Text.Length);
    }

    [Fact]
    public void Receive_buffer_that_the_device_may_not_write_breaks_it()
    {
        VirtioPciDriver pci = Start(_bench);
        _receive.Add((Buffer, 4u, false));

        Assert.Equal(0, Device.Receive("x"u8));

        Assert.Equal(NeedsReset, pci.Status & NeedsReset);
    }

    [Fact]
    public void Checkpoint_carries_every_field()
    {
        VirtioBench last = null!;
        CheckpointAssert.RoundTrips(
            () =>
            {
                last?.Dispose();
                last = NewBench();
                return last.Transport;
            },
            transport => Work(last, transport));
        last.Dispose();
    }

    [Fact]
    public void What_waited_for_its_turn_at_the_cut_is_sent_after_a_takeover()
    {
        VirtioPciDriver pci = Start(_bench);
        Send(pci, new string('x', 40_000));
        Send(pci, "late");
        Assert.Equal(40_000, _stream.Text.Length);
        using VirtioBench standby = NewBench();
        standby.LoadFrom(_bench);
        standby.Transport.ResumeInFlight();
        Assert.Equal(40_000, _stream.Text.Length);

        standby.Harness.Advance(1_000_000_000);

        Assert.EndsWith("xlate", _stream.Text, StringComparison.Ordinal);
    }

    private VirtioBench NewBench() => new(context => new VirtioConsole(context, 0, _stream));

    private VirtioPciDriver Start(VirtioBench bench, ulong features = Features)
    {
        VirtioPciDriver pci = bench.Probe();
        Assert.True(pci.Negotiate(features));
        _receive = new VirtqueueDriver(bench.Harness.Ram, 0x10_0000, 32);
        _transmit = new VirtqueueDriver(bench.Harness.Ram, 0x11_0000, 32);
        pci.SetUpQueue(0, _receive, 1);
        pci.SetUpQueue(1, _transmit, 2);
        pci.WriteCommon(16, 2, 0);
        pci.Start();
        return pci;
    }

    private void Send(VirtioPciDriver pci, string text, bool kicks = true)
    {
        Assert.True(_bench.Harness.Ram.TryWrite(Buffer, Encoding.ASCII.GetBytes(text)));
        _transmit.Add((Buffer, (uint)text.Length, false));
        if (kicks)
        {
            pci.Kick(1);
        }
    }

    private string Text(ulong gpa, int count)
    {
        byte[] bytes = new byte[count];
        Assert.True(_bench.Harness.Ram.TryRead(gpa, bytes));
        return Encoding.ASCII.GetString(bytes);
    }

    private void Work(VirtioBench bench, VirtioPciTransport transport)
    {
        VirtioPciDriver pci = Start(bench, Features | NetDriver.EventIndex);
        _transmit.Add((Buffer, 20_000u, false));
        _receive.Add((Buffer, 4u, true));
        pci.Kick(1);
        ((VirtioConsole)transport.Device).Receive("x"u8);
        transport.NotifyConfigChanged(); // by the pin, so that the ISR is set
        pci.WriteCommon(0, 4, 1);
        pci.WriteCommon(8, 4, 1);
        pci.WriteCommon(22, 2, 7);
        pci.WritePci(pci.MsixCapability + 2, 2, 0xC000);
    }
}
