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

    [Fact]
    public void Port_can_be_listened_at_again_although_a_connection_of_it_lingers()
    {
        using var first = new ListeningPeers("127.0.0.1", 0);
        using var caller = new TcpClient("127.0.0.1", first.Port);
        first.Wait(_ending.Task)!.Dispose(); // who closes first keeps the connection for a minute
        Assert.Equal(0, caller.Client.Receive(new byte[1]));
        caller.Dispose();
        int port = first.Port;
        first.Dispose();

        using var second = new ListeningPeers("127.0.0.1", port);

        Assert.Equal(port, second.Port);
    }

    [Fact]
    public async Task Call_ends_with_what_it_is_for()
    {
        using var silent = new ListeningPeers("127.0.0.1", 0);
        int port = silent.Port;
        silent.Dispose(); // nobody is there: it calls again and again
        using var called = new CalledPeer("127.0.0.1", port);
        Task<Socket?> calling = Task.Run(() => called.Wait(_ending.Task));

        _ending.SetResult();

        Assert.Null(await calling);
    }

    [Theory]
    [InlineData("0.0.0.0")]
    [InlineData("::")]
    [InlineData("no.such.name.invalid")]
    public async Task Call_of_nobody_throws_nothing(string host)
    {
        using var called = new CalledPeer(host, 1);
        Task<Socket?> calling = Task.Run(() => called.Wait(_ending.Task));
        await Task.WhenAny(calling, Task.Delay(300, TestContext.Current.CancellationToken));
        _ending.SetResult();

        Assert.Null(await calling);
    }

    private static (bool NoDelay, int KeepAlive, int Time, int Interval, int Count) SetUp(Socket socket) => (
        socket.NoDelay,
        (int)socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive)! == 0 ? 0 : 1,
        (int)socket.GetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime)!,
        (int)socket.GetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval)!,
        (int)socket.GetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount)!);
}
