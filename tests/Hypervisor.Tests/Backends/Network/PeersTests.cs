using System.Net.Sockets;
using System.Threading.Tasks;
using Hypervisor.Backends.Network;
using Xunit;

namespace Hypervisor.Tests.Backends.Network;

public sealed class PeersTests
{
    private readonly TaskCompletionSource _ending = new();

    [Fact]
    public async Task Rule_31_both_ends_find_out_that_the_other_host_is_dead()
    {
        using var listening = new ListeningPeers("127.0.0.1", 0);
        using var called = new CalledPeer("127.0.0.1", listening.Port);
        Task<Socket?> calling = Task.Run(() => called.Wait(_ending.Task));

        using Socket? taken = listening.Wait(_ending.Task);
        using Socket? made = await calling;

        Assert.Equal((true, 1, 10, 5, 3), SetUp(taken!));
        Assert.Equal((true, 1, 10, 5, 3), SetUp(made!));
    }

    [Fact]
    public async Task Listener_that_is_closed_says_that_none_will_come()
    {
        var listening = new ListeningPeers("0.0.0.0", 0); // every address
        Task<Socket?> waiting = Task.Run(() => listening.Wait(_ending.Task));

        listening.Dispose();

        Assert.Null(await waiting);
    }

    private static (bool NoDelay, int KeepAlive, int Time, int Interval, int Count) SetUp(Socket socket) => (
        socket.NoDelay,
        (int)socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive)! == 0 ? 0 : 1,
        (int)socket.GetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime)!,
        (int)socket.GetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval)!,
        (int)socket.GetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount)!);
}
