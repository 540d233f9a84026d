using System;
using System.Linq;
using Hypervisor.Backends.Network;
using Hypervisor.Devices.Virtio;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Devices.Virtio;

/// <summary>Frames in both directions. Spec: VIRTIO 1.2, section 5.1.6.</summary>
public sealed class VirtioNetTests : IDisposable
{
    private readonly SimNetwork _network = new();
    private readonly VirtioBench _bench;

    public VirtioNetTests()
        => _bench = new VirtioBench(context => new VirtioNet(context, 0, _network, new VirtioNetOptions()));

    public void Dispose()
    {
        _bench.Dispose();
        _network.Dispose();
    }

    [Theory]
    [InlineData(int.MaxValue, 0UL)]
    [InlineData(12, 0UL)]
    [InlineData(7, NetDriver.EventIndex)] // the header itself in two buffers
    public void Sent_frame_leaves_as_it_is_and_its_buffer_comes_back(int bufferBytes, ulong moreFeatures)
    {
        var driver = new NetDriver(_bench, NetDriver.Everything | moreFeatures);
        byte[] frame = NetDriver.Frame(100);

        driver.Send(NetDriver.With(default, frame), bufferBytes: bufferBytes);

        Assert.Equal(NetDriver.With(default, frame), Assert.Single(_network.Sent).Frame);
        Assert.True(driver.Queues[1].TryTakeUsed(out _, out uint written));
        Assert.Equal(0u, written);
        Assert.Equal((NetDriver.MsiAddress, NetDriver.MsiData + 2), Assert.Single(_bench.Harness.Messages));
    }

    [Fact]
    public void Header_keeps_what_was_agreed_on_and_nothing_else()
    {
        var driver = new NetDriver(_bench);
        var header = new VnetHeader(0xFF, VnetHeader.GsoTcp4 | VnetHeader.GsoEcn, 60_000, 1460, 34, 16);

        driver.Send(NetDriver.With(header, NetDriver.Frame(3000)));

        Assert.Equal(
            new VnetHeader(VnetHeader.NeedsChecksum, VnetHeader.GsoTcp4 | VnetHeader.GsoEcn, 3000, 1460, 34, 16),
            VnetHeader.Read(Assert.Single(_network.Sent).Frame));
    }

    [Theory]
    [InlineData(1, 0, 0, 98, 1)]     // the checksum would lie behind the frame
    [InlineData(1, 0, 0, 65535, 65535)]
    [InlineData(1, 1, 0, 34, 16)]    // segments of nothing
    [InlineData(0, 1, 1460, 34, 16)] // to be cut up, without a checksum
    [InlineData(1, 3, 1460, 34, 16)] // UDP was not offered
    [InlineData(1, 4, 1460, 34, 16)] // IPv6 was not agreed on
    [InlineData(1, 0x80, 1460, 34, 16)]
    public void Frame_with_a_header_that_makes_no_sense_goes_nowhere(
        byte flags, byte gso, ushort segment, ushort start, ushort offset)
    {
        var driver = new NetDriver(_bench);

        driver.Send(NetDriver.With(new VnetHeader(flags, gso, 54, segment, start, offset), NetDriver.Frame(100)));

        Assert.Empty(_network.Sent);
        Assert.True(driver.Queues[1].TryTakeUsed(out _, out _));
        Assert.False(driver.IsBroken);
    }

    [Theory]
    [InlineData(25, false)] // header and 13 bytes
    [InlineData(26, true)]
    [InlineData(NetworkPort.FrameBytesMax, true)]
    [InlineData(NetworkPort.FrameBytesMax + 1, false)]
    public void Frames_have_a_shortest_and_a_longest(int lengthBytes, bool leaves)
    {
        var driver = new NetDriver(_bench);

        driver.Send(new byte[lengthBytes]);

        Assert.Equal(leaves ? 1 : 0, _network.Sent.Count);
        Assert.True(driver.Queues[1].TryTakeUsed(out _, out _));
        Assert.False(driver.IsBroken);
    }

    [Fact]
    public void Chain_without_room_for_a_header_breaks_the_device()
    {
        var driver = new NetDriver(_bench);

        driver.Send(new byte[11]);

        Assert.True(driver.IsBroken);
        Assert.Empty(_network.Sent);
        driver.Send(NetDriver.With(default, NetDriver.Frame(60)));
        Assert.Empty(_network.Sent);
    }

    [Fact]
    public void Rule_23_frames_that_find_no_room_stay_in_the_queue_and_leave_later_in_order()
    {
        var driver = new NetDriver(_bench);
        _network.Room = 2;
        for (int i = 0; i < 5; i++)
        {
            driver.Send(NetDriver.With(default, NetDriver.Frame(60 + i)));
        }

        Assert.Equal([72, 73], _network.Sent.Select(sent => sent.Frame.Length));
        Assert.Equal(2, driver.Queues[1].UsedIndex);

        _network.Room = int.MaxValue;
        _network.OnRoom!();
        _bench.Harness.EventLoop.RunPosted();

        Assert.Equal([72, 73, 74, 75, 76], _network.Sent.Select(sent => sent.Frame.Length));
        Assert.Equal(5, driver.Queues[1].UsedIndex);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Received_frame_lies_behind_its_header_in_one_buffer(bool merges)
    {
        var driver = new NetDriver(_bench, NetDriver.Everything & ~(merges ? 0 : NetDriver.Mergeable));
        ulong buffer = driver.Offer(1600);
        byte[] frame = NetDriver.Frame(200);

        _network.Receive(NetDriver.With(default, frame));
        Assert.Equal(0, driver.Queues[0].UsedIndex); // input comes through the event loop: rule 6
        _bench.Harness.EventLoop.RunPosted();

        Assert.True(driver.Queues[0].TryTakeUsed(out _, out uint written));
        Assert.Equal(212u, written);
        Assert.Equal([.. new byte[10], 1, 0, .. frame], driver.Bytes(buffer, 212));
        Assert.Equal((NetDriver.MsiAddress, NetDriver.MsiData + 1), Assert.Single(_bench.Harness.Messages));
    }

    [Fact]
    public void Large_frame_is_spread_over_buffers_that_come_back_together()
    {
        var driver = new NetDriver(_bench);
        ulong[] buffers = [driver.Offer(100), driver.Offer(50), driver.Offer(100)];
        byte[] frame = NetDriver.Frame(200);

        _network.Receive(NetDriver.With(default, frame));
        _bench.Harness.EventLoop.RunPosted();

        uint[] written = [.. Enumerable.Range(0, 3).Select(_ =>
        {
            Assert.True(driver.Queues[0].TryTakeUsed(out ushort _, out uint count));
            return count;
        })];
        Assert.Equal([100u, 50u, 62u], written);
        Assert.Equal(
            [.. new byte[10], 3, 0, .. frame],
            [.. driver.Bytes(buffers[0], 100), .. driver.Bytes(buffers[1], 50), .. driver.Bytes(buffers[2], 62)]);
        Assert.Single(_bench.Harness.Messages);
    }

    [Fact]
    public void Frame_waits_for_the_buffers_that_are_missing()
    {
        var driver = new NetDriver(_bench, NetDriver.Everything | NetDriver.EventIndex);
        driver.Offer(100);

        _network.Receive(NetDriver.With(default, NetDriver.Frame(200)));
        _bench.Harness.EventLoop.RunPosted();

        Assert.Equal(0, driver.Queues[0].UsedIndex);
        Assert.Equal(1, driver.Queues[0].AvailableEvent); // one more than there are: only that helps
        driver.Offer(112);
        Assert.Equal(2, driver.Queues[0].UsedIndex);
        Assert.Equal(0, _network.WaitingCount());
    }

    [Theory]
    [InlineData(0UL)]                   // a buffer that is too small, and no leave to use two
    [InlineData(NetDriver.Mergeable)]   // or a queue that is too small altogether
    public void Frame_that_never_fits_is_dropped_and_its_buffers_stay(ulong merging)
    {
        var driver = new NetDriver(_bench, (NetDriver.Everything & ~NetDriver.Mergeable) | merging);
        for (int i = 0; i < NetDriver.QueueSize; i++)
        {
            driver.Offer(20);
        }

        _network.Receive(NetDriver.With(default, NetDriver.Frame(1514)));
        _network.Receive(NetDriver.With(default, NetDriver.Frame(1514)));
        _bench.Harness.EventLoop.RunPosted();

        Assert.Equal(0, _network.WaitingCount());
        Assert.Equal(0, driver.Queues[0].UsedIndex);
        Assert.False(driver.IsBroken);
    }

    [Fact]
    public void Buffer_without_room_for_a_header_breaks_the_device()
    {
        var driver = new NetDriver(_bench);
        driver.Offer(11);

        _network.Receive(NetDriver.With(default, NetDriver.Frame(60)));
        _bench.Harness.EventLoop.RunPosted();

        Assert.True(driver.IsBroken);
    }

    [Fact]
    public void Frames_for_a_guest_without_a_driver_are_gone()
    {
        _network.Receive(NetDriver.With(default, NetDriver.Frame(60)));
        _bench.Harness.EventLoop.RunPosted();
        var driver = new NetDriver(_bench);
        driver.Offer(1600);
        _bench.Harness.EventLoop.RunPosted();

        Assert.Equal(0, driver.Queues[0].UsedIndex);
        Assert.Equal(0, _network.WaitingCount());
    }

    [Theory]
    [InlineData(NetDriver.GuestChecksum, 1, 0, true)]
    [InlineData(NetDriver.GuestChecksum, 1, 1, false)]  // large, and the driver takes none
    [InlineData(NetDriver.GuestChecksum | NetDriver.GuestTcp4, 1, 1, true)]
    [InlineData(NetDriver.GuestChecksum | NetDriver.GuestTcp4, 1, 0x81, false)] // CWR was not agreed on
    [InlineData(NetDriver.GuestChecksum | NetDriver.GuestTcp4, 1, 4, false)]
    [InlineData(NetDriver.GuestChecksum | NetDriver.GuestTcp4, 1, 3, false)]
    public void Work_is_left_to_the_driver_only_as_agreed(ulong offloads, byte flags, byte gso, bool comes)
    {
        var driver = new NetDriver(_bench, VirtioPciDriver.Version1 | offloads);
        ulong buffer = driver.Offer(5000);
        var header = new VnetHeader(flags, gso, 54, (ushort)(gso == 0 ? 0 : 1460), 34, 16);

        _network.Receive(NetDriver.With(header, NetDriver.Frame(3000)));
        _bench.Harness.EventLoop.RunPosted();

        Assert.Equal(comes ? 1 : 0, driver.Queues[0].UsedIndex);
        Assert.Equal(comes ? header : default, VnetHeader.Read(driver.Bytes(buffer, 12)));
    }

    [Fact]
    public void Checksum_is_completed_for_a_driver_that_cannot()
    {
        var driver = new NetDriver(_bench, VirtioPciDriver.Version1);
        ulong buffer = driver.Offer(200);
        byte[] frame = new byte[60];
        byte[] data = [0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7]; // RFC 1071, section 3: the sum is DDF2
        data.CopyTo(frame, 34);

        _network.Receive(NetDriver.With(new VnetHeader(1, 0, 0, 0, 34, 16), frame));
        _bench.Harness.EventLoop.RunPosted();

        byte[] came = driver.Bytes(buffer, 72);
        Assert.Equal(default, VnetHeader.Read(came));
        Assert.Equal([0x22, 0x0D], came[(12 + 50)..(12 + 52)]);
    }

    [Theory]
    [InlineData(NetDriver.Mtu, 1518, true)]
    [InlineData(NetDriver.Mtu, 1519, false)]
    [InlineData(0UL, 1519, true)]
    public void Frames_beyond_the_agreed_size_do_not_come(ulong features, int lengthBytes, bool comes)
    {
        var driver = new NetDriver(_bench, VirtioPciDriver.Version1 | features);
        driver.Offer(4096);

        _network.Receive(NetDriver.With(default, NetDriver.Frame(lengthBytes)));
        _bench.Harness.EventLoop.RunPosted();

        Assert.Equal(comes ? 1 : 0, driver.Queues[0].UsedIndex);
    }

    [Fact]
    public void Rule_11_received_frame_marks_its_pages_dirty()
    {
        var driver = new NetDriver(_bench);
        ulong buffer = driver.Offer(100);
        _bench.Harness.Ram.StateBytes.Clear();

        _network.Receive(NetDriver.With(default, NetDriver.Frame(60)));
        _bench.Harness.EventLoop.RunPosted();

        Span<byte> states = _bench.Harness.Ram.StateBytes;
        Assert.NotEqual(0, states[(int)(buffer / 4096)]);
        Assert.NotEqual(0, states[(int)(driver.Queues[0].Used / 4096)]);
    }

    [Fact]
    public void Endless_guest_gives_the_bus_back()
    {
        var driver = new NetDriver(_bench);
        for (int i = 0; i < NetDriver.QueueSize; i++)
        {
            driver.Send(NetDriver.With(default, NetDriver.Frame(60)), kicks: false);
        }

        driver.Pci.Kick(1);

        Assert.Equal(NetDriver.QueueSize, _network.Sent.Count);
        Assert.Equal(1, _bench.Harness.EventLoop.PendingCount); // the rest, if there is one, comes by itself
        _bench.Harness.EventLoop.RunPosted();
        Assert.Equal(0, _bench.Harness.EventLoop.PendingCount);
    }

    [Fact]
    public void Endless_network_gives_the_bus_back()
    {
        const int FramesPerHold = 256;
        for (int i = 0; i < FramesPerHold + 44; i++) // without a driver: each goes as if it had been taken
        {
            _network.Receive(NetDriver.With(default, NetDriver.Frame(60)));
        }

        Assert.Equal(1, _bench.Harness.EventLoop.PendingCount); // a burst posts once

        Assert.Equal(2, _bench.Harness.EventLoop.RunPosted()); // the rest came by itself, in a hold of its own
        Assert.Equal(0, _network.WaitingCount());
    }
}
