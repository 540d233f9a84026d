using System;
using System.Net.Sockets;
using System.Threading.Tasks;
using Hypervisor.Backends.Network;
using Hypervisor.Core.Host;
using Xunit;

namespace Hypervisor.Tests.Backends.Network;

public sealed class PeerSocketTests : IDisposable
{
    private readonly ScriptedPeers _peers = new();
    private readonly PeerSocket _socket;

    public PeerSocketTests() => _socket = new PeerSocket(_peers);

    public void Dispose()
    {
        _socket.Dispose();
        _peers.Dispose();
    }

    [Fact]
    public void Bytes_go_both_ways_and_what_has_no_peer_is_lost()
    {
        using Socket other = _peers.Add();
        _socket.Send([1]);

        Assert.True(_socket.TryConnect());
        _socket.Send([2, 3]);
        other.Send([4]);

        byte[] bytes = new byte[2];
        Assert.Equal(2, other.Receive(bytes));
        Assert.Equal([2, 3], bytes);
        Assert.Equal(1, _socket.Receive(bytes));
        Assert.Equal(4, bytes[0]);
    }

    [Fact]
    public void Peer_that_left_is_followed_by_the_next()
    {
        _peers.Add().Dispose();
        Assert.True(_socket.TryConnect());
        Assert.Equal(0, _socket.Receive(new byte[1]));
        _socket.Send(new byte[1]); // to nobody
        _socket.Disconnect();
        Assert.False(_socket.IsConnected);
        Assert.Equal(0, _socket.Receive(new byte[1]));

        using Socket second = _peers.Add();

        Assert.True(_socket.TryConnect());
        Assert.True(_socket.IsConnected);
        Assert.False(IsClosed(second));
    }

    [Fact]
    public void Peer_that_comes_while_it_is_stopped_is_closed()
    {
        using Socket other = _peers.Add();
        _peers.OnWait = _socket.Dispose; // sees no peer: this one is on its way

        _socket.TryConnect();

        Assert.True(IsClosed(other));
        Assert.Equal(0, _socket.Receive(new byte[1]));
    }

    [Fact]
    public async Task Stop_closes_the_peer_and_wakes_who_receives()
    {
        using Socket other = _peers.Add();
        Assert.True(_socket.TryConnect());
        Task<int> receiving = Task.Run(() => _socket.Receive(new byte[1]));

        _socket.Dispose();

        Assert.Equal(0, await receiving);
        Assert.True(IsClosed(other));
        Assert.False(_socket.TryConnect());
    }

    private static bool IsClosed(Socket other) => other.Poll(0, SelectMode.SelectRead);

    private sealed class ScriptedPeers : INetworkPeers
    {
        private Socket? _next;

        public Action OnWait { get; set; } = static () => { };

        public Socket Add()
        {
            HostSocketPair.Create(out int ours, out int others);
            _next = new Socket(new SafeSocketHandle(ours, ownsHandle: true));
            return new Socket(new SafeSocketHandle(others, ownsHandle: true));
        }

        public Socket? Wait(Task ending)
        {
            (Socket? next, _next) = (_next, null);
            OnWait();
            return next;
        }

        public void Dispose() => _next?.Dispose();
    }
}
