using System;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Threading;
using Hypervisor.Backends.Network;
using Xunit;

namespace Hypervisor.Tests.Backends.Network;

public sealed class StreamBackendTests : IDisposable
{
    private const int WaitMillisMax = 60_000;

    private readonly ListeningPeers _peers = new("127.0.0.1", 0);
    private readonly NetworkPort _port;
    private readonly AutoResetEvent _came = new(false);

    public StreamBackendTests()
    {
        _port = new NetworkPort("test", new StreamBackend(_peers));
        _port.OnReceived = _ => _came.Set();
    }

    public void Dispose()
    {
        _port.Dispose();
        _peers.Dispose();
        _came.Dispose();
    }

    [Fact]
    public void Frames_cross_the_stream_however_it_is_cut()
    {
        _port.Start();
        using Socket peer = Call();
        byte[] stream = [0, 0, 0, 20, .. Bytes(20), 0, 0, 0, 60, .. Bytes(60)];

        foreach (byte one in stream)
        {
            peer.Send([one]);
        }

        Assert.Equal([.. new byte[12], .. Bytes(20)], Take());
        Assert.Equal([.. new byte[12], .. Bytes(60)], Take());
    }

    [Fact]
    public void Sent_frame_goes_to_the_peer_behind_its_length()
    {
        _port.Start();
        using Socket peer = Call();
        peer.Send([0, 0, 0, 20, .. Bytes(20)]);
        _ = Take(); // the peer is there now

        Assert.True(_port.TrySend(0, [.. new byte[12], .. Bytes(30)]));

        Assert.Equal([0, 0, 0, 30, .. Bytes(30)], Receive(peer, 34));
    }

    [Fact]
    public void Rule_01_held_frame_reaches_the_peer_with_its_release()
    {
        _port.Start();
        using Socket peer = Call();
        peer.Send([0, 0, 0, 20, .. Bytes(20)]);
        _ = Take();
        _port.Outbox.BeginEpoch(1);
        Assert.True(_port.TrySend(0, [.. new byte[12], .. Bytes(30)]));
        _port.Outbox.BeginEpoch(2);
        Assert.True(_port.TrySend(0, [.. new byte[12], .. Bytes(31)]));

        Assert.False(peer.Poll(50_000, SelectMode.SelectRead));
        _port.Outbox.Release(1);

        Assert.Equal([0, 0, 0, 30, .. Bytes(30)], Receive(peer, 34));
        Assert.False(peer.Poll(50_000, SelectMode.SelectRead));
    }

    [Theory]
    [InlineData(new byte[] { 0, 0, 0, 0 })]
    [InlineData(new byte[] { 0, 1, 0, 18 })] // one more than the longest
    [InlineData(new byte[] { 255, 255, 255, 255 })]
    public void Peer_that_does_not_speak_so_is_left_for_the_next(byte[] words)
    {
        _port.Start();
        using Socket stranger = Call();
        stranger.Send(words);
        Assert.Equal(0, stranger.Receive(new byte[1])); // closed

        using Socket peer = Call();
        peer.Send([0, 0, 0, 20, .. Bytes(20)]);

        Assert.Equal(32, Take().Length);
    }

    [Fact]
    public void Called_peer_is_called_until_it_answers()
    {
        using var caller = new NetworkPort("caller", new StreamBackend(new CalledPeer("127.0.0.1", _peers.Port)));
        caller.Start();
        _port.Start();

        // Until both ends are there, frames are lost as without a cable.
        Assert.True(SpinWait.SpinUntil(
            () =>
            {
                Assert.True(caller.TrySend(0, [.. new byte[12], .. Bytes(40)]));
                return _came.WaitOne(10);
            },
            WaitMillisMax));
        Assert.True(_port.TryPeek(0, out ReadOnlySpan<byte> frame));
        Assert.Equal([.. new byte[12], .. Bytes(40)], frame.ToArray());
    }

    [Fact]
    public void Network_that_nobody_takes_from_waits_outside()
    {
        _port.Start();
        using Socket peer = Call();
        peer.SendTimeout = 500;
        byte[] stream = [0, 0, 0x80, 0, .. new byte[0x8000]];
        int sent = 0;
        Assert.Throws<SocketException>(() =>
        {
            for (; sent < 10_000; sent++)
            {
                for (int at = 0; at < stream.Length;)
                {
                    at += peer.Send(stream, at, stream.Length - at, SocketFlags.None);
                }
            }
        });

        Assert.InRange(sent, 1, 1000); // what the kernel keeps of it, and half a megabyte here
        for (int i = 0; i < sent; i++)
        {
            Assert.Equal(VnetHeader.Bytes + 0x8000, Take().Length); // nothing was lost: it goes on when there is room
        }
    }

    private static byte[] Bytes(int count) => [.. Enumerable.Range(1, count).Select(i => (byte)i)];

    private static byte[] Receive(Socket peer, int count)
    {
        byte[] bytes = new byte[count];
        for (int at = 0; at < count;)
        {
            int got = peer.Receive(bytes, at, count - at, SocketFlags.None);
            Assert.NotEqual(0, got);
            at += got;
        }

        return bytes;
    }

    private Socket Call()
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp)
        {
            ReceiveTimeout = WaitMillisMax,
            NoDelay = true,
        };
        socket.Connect(IPAddress.Loopback, _peers.Port);
        return socket;
    }

    private byte[] Take()
    {
        ReadOnlySpan<byte> frame;
        while (!_port.TryPeek(0, out frame))
        {
            Assert.True(_came.WaitOne(WaitMillisMax));
        }

        byte[] copy = frame.ToArray();
        _port.Remove(0);
        return copy;
    }
}
