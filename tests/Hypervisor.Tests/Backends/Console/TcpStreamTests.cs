using System;
using System.Net.Sockets;
using System.Text;
using System.Threading;
using Hypervisor.Backends.Console;
using Hypervisor.Core.Host;
using Xunit;

namespace Hypervisor.Tests.Backends.Console;

public sealed class TcpStreamTests
{
    [Fact]
    public void Bytes_go_both_ways_and_a_second_peer_follows_the_first()
    {
        using var line = TcpStream.Listen("127.0.0.1", 0, waitsForPeer: false);
        line.OnInput = bytes =>
        {
            line.Write(bytes.Span[..1]); // a line that takes one byte at a time, and echoes
            return 1;
        };
        line.Start();

        Assert.Equal("first", Exchange(line.Port, "first"));
        Assert.Equal("second", Exchange(line.Port, "second"));
    }

    [Fact]
    public void Start_waits_for_the_peer_when_asked_to()
    {
        using var line = TcpStream.Listen("127.0.0.1", 0, waitsForPeer: true);
        var starter = new Thread(line.Start) { IsBackground = true };
        starter.Start();
        Assert.True(starter.IsAlive);

        using var peer = new TcpClient("127.0.0.1", line.Port);

        starter.Join();
    }

    [Fact]
    public void Port_in_use_is_refused_with_its_name()
    {
        using var line = TcpStream.Listen("127.0.0.1", 0, waitsForPeer: false);

        HostException error = Assert.Throws<HostException>(() => TcpStream.Listen("127.0.0.1", line.Port, false));

        Assert.Contains($"tcp:127.0.0.1:{line.Port}", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Output_without_a_peer_is_dropped()
    {
        using var line = TcpStream.Listen("127.0.0.1", 0, waitsForPeer: false);

        line.Start();
        line.Write(new byte[2 * OutputQueue.CapacityBytes]);
    }

    private static string Exchange(int port, string text)
    {
        using var peer = new TcpClient("127.0.0.1", port);
        NetworkStream stream = peer.GetStream();
        stream.Write(Encoding.ASCII.GetBytes(text));
        byte[] echo = new byte[text.Length];
        stream.ReadExactly(echo);
        return Encoding.ASCII.GetString(echo);
    }
}
