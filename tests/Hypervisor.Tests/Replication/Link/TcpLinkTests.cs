using System;
using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Threading;
using Hypervisor.Core.Time;
using Hypervisor.Replication.Link;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;
using Xunit;

namespace Hypervisor.Tests.Replication.Link;

public sealed class TcpLinkTests : IDisposable
{
    private const long ProgressNanos = 1_000_000_000;
    private readonly Socket _peer;
    private readonly TcpLink _link;
    private readonly Recorder _events = new();

    public TcpLinkTests()
    {
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(1);
        _peer = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        _peer.Connect(listener.LocalEndPoint!);
        var clock = new HostClock();
        PeerStream stream = LinkSecurity.Plain.Secure(
            listener.Accept(), LinkRole.Called, clock, LinkSecurity.HandshakeTimeMax);
        _link = new TcpLink(1, stream, ProgressNanos, clock, _events);
        _link.Start();
    }

    public void Dispose()
    {
        _link.Dispose();
        _peer.Dispose();
    }

    [Fact]
    public void Frames_arrive_in_order_however_they_are_cut()
    {
        byte[] frames = Frames(3);
        for (int i = 0; i < frames.Length; i++)
        {
            _peer.Send(frames, i, 1, SocketFlags.None);
        }

        for (int i = 0; i < 3; i++)
        {
            var message = (RamBlockMessage)_events.Take();
            Assert.Equal((uint)i, message.PageCount);
            Assert.Equal(100, message.Bulk.Length);
            message.Release();
            _link.Handled();
        }
    }

    [Fact]
    public void What_is_sent_is_what_the_peer_reads_large_or_small()
    {
        for (int size = 0; size < 3; size++)
        {
            var message = new RamBlockMessage { PageCount = (uint)size };
            message.Attach(new byte[size * 300_000], null);
            _link.Send(message);
        }

        var decoder = new FrameDecoder();
        byte[] head = new byte[FrameHeader.Bytes];
        for (int size = 0; size < 3; size++)
        {
            ReceiveAll(head);
            FrameHeader header = decoder.DecodeHeader(head);
            byte[] payload = new byte[header.PayloadBytes];
            ReceiveAll(payload);
            var message = (RamBlockMessage)FrameDecoder.DecodePayload(header, payload, null);
            Assert.Equal((uint)size, message.PageCount);
            Assert.Equal(size * 300_000, message.Bulk.Length);
        }
    }

    [Fact]
    public void What_is_packed_after_an_agreement_is_less_and_restored()
    {
        Compressions way = LinkCompression.Available.Best();
        Assert.SkipUnless(way != Compressions.None, "no compressor on this host");
        _link.Agree(way, zstdLevel: 1);
        var message = new RamBlockMessage { PageCount = 3 };
        message.Attach(new byte[60_000], null);

        _link.Send(message);

        byte[] head = new byte[FrameHeader.Bytes];
        ReceiveAll(head);
        FrameHeader header = new FrameDecoder().DecodeHeader(head);
        byte[] packed = new byte[header.PayloadBytes];
        ReceiveAll(packed);
        Assert.True(header.IsPacked && packed.Length < 1000);
        byte[] frame = [.. head, .. packed];
        _peer.Send(frame); // what it sent is what it takes
        var back = (RamBlockMessage)_events.Take();
        Assert.Equal(new byte[60_000], back.Bulk.ToArray());
        Assert.Equal(header.PayloadChecksum, back.KnownChecksum);
    }

    [Fact]
    public void Packed_frame_without_an_agreement_ends_the_link()
    {
        byte[] frame = new byte[FrameHeader.Bytes + 100];
        new FrameHeader(MessageKind.RamBlock, 1, 0, 0, 100, 0, IsPacked: true).Write(frame);

        _peer.Send(frame);

        string reason = _events.TakeLoss(LinkLoss.Broken);
        Assert.Contains("no compression was agreed on", reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Close_sends_what_is_queued_and_reports_nothing()
    {
        _link.Send(new RamBlockMessage { PageCount = 5 });
        _link.Close();

        byte[] frame = new byte[FrameHeader.Bytes + 4];
        ReceiveAll(frame);
        Assert.Equal(0, _peer.Receive(new byte[1]));
        Assert.True(_events.IsQuiet);
    }

    [Theory]
    [InlineData(0, "magic")]
    [InlineData(4, "protocol version")]
    [InlineData(6, "header CRC")]
    [InlineData(24, "header CRC")]
    [InlineData(32, "header CRC")]
    [InlineData(50, "payload CRC")]
    public void Flipped_bit_ends_the_link_and_names_the_field(int at, string field)
    {
        byte[] frame = Frames(1);
        frame[at] ^= 1;
        _peer.Send(frame);

        Assert.Contains(field, _events.TakeLoss(LinkLoss.Broken), StringComparison.Ordinal);
    }

    [Fact]
    public void Oversized_length_is_refused_before_a_buffer_is_taken()
    {
        byte[] frame = new byte[FrameHeader.Bytes];
        new FrameHeader(MessageKind.RamBlock, 1, 1, 0, 1 << 20, 0).Write(frame);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32LittleEndian(frame.AsSpan(32), uint.MaxValue);
        uint crc = ~Hypervisor.Core.State.Crc32C.Append(Hypervisor.Core.State.Crc32C.Start, frame.AsSpan(0, 40));
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32LittleEndian(frame.AsSpan(40), crc);
        _peer.Send(frame);

        Assert.Contains("length is 4294967295", _events.TakeLoss(LinkLoss.Broken), StringComparison.Ordinal);
    }

    [Fact]
    public void Garbage_is_refused()
    {
        _peer.Send("GET / HTTP/1.1\r\nHost: standby\r\nUser-Agent: x\r\n\r\n"u8);

        Assert.Contains("magic is 0x20544547", _events.TakeLoss(LinkLoss.Broken), StringComparison.Ordinal);
    }

    [Fact]
    public void Half_a_frame_that_stalls_is_given_up()
    {
        _peer.Send(Frames(1).AsSpan(0, 60));

        Assert.Contains("half a frame", _events.TakeLoss(LinkLoss.Broken), StringComparison.Ordinal);
    }

    [Fact]
    public void Repeated_frame_is_refused()
    {
        byte[] frame = Frames(1);
        _peer.Send(frame);
        _peer.Send(frame);

        _events.Take().Release();
        Assert.Contains("sequence is 0, must be 1", _events.TakeLoss(LinkLoss.Broken), StringComparison.Ordinal);
    }

    [Fact]
    public void End_of_the_peer_is_told_apart_from_damage()
    {
        _peer.Dispose();

        Assert.Contains("closed the link", _events.TakeLoss(LinkLoss.ClosedByPeer), StringComparison.Ordinal);
    }

    [Fact]
    public void What_the_peer_said_before_it_closed_arrives_though_sending_fails_first()
    {
        const int Count = TcpLink.CreditMax + 5; // so that the last ones are not read yet
        _peer.Send(Frames(Count));
        _link.Send(new RamBlockMessage { PageCount = 1 });
        Assert.True(SpinWait.SpinUntil(() => _peer.Available > 0, TimeSpan.FromSeconds(60)));

        // A close with something unread drops what the receive window had no room for: the rest must have got there.
        Assert.True(SpinWait.SpinUntil(() => _events.Count == TcpLink.CreditMax, TimeSpan.FromSeconds(60)));
        _peer.Dispose(); // with something unread: a reset
        bool hasFailed = SpinWait.SpinUntil(
            () =>
            {
                _link.Send(new RamBlockMessage { PageCount = 1 });
                return _link.HasPeerLeft;
            },
            TimeSpan.FromSeconds(60));
        Assert.True(hasFailed);
        Assert.False(SpinWait.SpinUntil(() => !_events.IsQuiet, TimeSpan.FromMilliseconds(100)));

        for (uint i = 0; i < Count; i++)
        {
            var message = (RamBlockMessage)_events.Take();
            Assert.Equal(i, message.PageCount);
            message.Release();
            _link.Handled();
        }

        _ = _events.TakeLoss(LinkLoss.ClosedByPeer);
    }

    [Fact]
    public void Peer_that_reads_nothing_is_given_up_and_buffers_come_back()
    {
        int released = 0;
        for (int i = 0; i < 200; i++)
        {
            var message = new RamBlockMessage { PageCount = 1 };
            message.Attach(new byte[100_000], new OnDispose(() => Interlocked.Increment(ref released)));
            _link.Send(message);
        }

        Assert.Contains("took nothing", _events.TakeLoss(LinkLoss.Broken), StringComparison.Ordinal);
        _link.Dispose();
        Assert.Equal(200, released);
    }

    [Fact]
    public void Break_from_outside_ends_it_at_once()
    {
        _link.Break("drill");

        Assert.Equal("drill", _events.TakeLoss(LinkLoss.Broken));
    }

    private static byte[] Frames(int count)
    {
        var encoder = new FrameEncoder();
        byte[] frames = new byte[count * (FrameHeader.Bytes + 4 + 100)];
        int used = 0;
        for (int i = 0; i < count; i++)
        {
            var message = new RamBlockMessage { PageCount = (uint)i };
            message.Attach(new byte[100], null);
            used += encoder.EncodeHead(message, frames.AsSpan(used)) + 100;
        }

        return frames;
    }

    private void ReceiveAll(byte[] target)
    {
        for (int done = 0; done < target.Length;)
        {
            int count = _peer.Receive(target.AsSpan(done));
            Assert.NotEqual(0, count);
            done += count;
        }
    }

    private sealed class OnDispose(Action action) : IDisposable
    {
        public void Dispose() => action();
    }

    private sealed class Recorder : ILinkEvents
    {
        private const int PatienceMillis = 20_000;
        private readonly BlockingCollection<Message> _messages = [];
        private readonly BlockingCollection<(LinkLoss Loss, string Reason)> _losses = [];

        public int Count => _messages.Count;

        public bool IsQuiet => _losses.Count == 0;

        public void OnReceived(TcpLink link, Message message) => _messages.Add(message);

        public void OnLost(TcpLink link, LinkLoss loss, string reason) => _losses.Add((loss, reason));

        public Message Take()
        {
            Assert.True(_messages.TryTake(out Message? message, PatienceMillis), "nothing arrived");
            return message;
        }

        public string TakeLoss(LinkLoss expected)
        {
            Assert.True(_losses.TryTake(out (LinkLoss Loss, string Reason) lost, PatienceMillis), "the link goes on");
            Assert.Equal(expected, lost.Loss);
            return lost.Reason;
        }
    }
}
