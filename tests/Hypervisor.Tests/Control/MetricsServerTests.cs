using System;
using System.Collections.Generic;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Hypervisor.CommandLine;
using Hypervisor.Control;
using Hypervisor.Core.Time;
using Xunit;

namespace Hypervisor.Tests.Control;

public sealed class MetricsServerTests
{
    private const int PatienceMillis = 20_000;
    private const string Page = "hv_state 1\n";

    [Theory]
    [InlineData("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK")]
    [InlineData("GET /metrics HTTP/1.0\r\n\r\n", "200 OK")]
    [InlineData("GET /metrics?name=hv_state HTTP/1.1\n\n", "200 OK")]
    [InlineData("GET / HTTP/1.1\r\n\r\n", "404 Not Found")]
    [InlineData("GET /metricsandmore HTTP/1.1\r\n\r\n", "404 Not Found")]
    [InlineData("GET http://a/metrics HTTP/1.1\r\n\r\n", "404 Not Found")]
    [InlineData("POST /metrics HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody", "405 Method Not Allowed")]
    [InlineData("HEAD /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed")]
    [InlineData("get /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed")]
    [InlineData("GET /metrics HTTP/2\r\n\r\n", "400 Bad Request")]
    [InlineData("GET  /metrics HTTP/1.1\r\n\r\n", "400 Bad Request")]
    [InlineData("GET /metrics\r\n\r\n", "400 Bad Request")]
    [InlineData("\r\n\r\n", "400 Bad Request")]
    [InlineData("\u0016\u0003\u0001\0\u0001 GET\r\n\r\n", "400 Bad Request")]
    public void Request_is_answered_with(string request, string status)
    {
        using MetricsServer server = Serve();

        string response = Exchange(server, request);

        Assert.StartsWith($"HTTP/1.1 {status}\r\n", response, StringComparison.Ordinal);
        Assert.Equal(status == "200 OK", response.EndsWith("\r\n\r\n" + Page, StringComparison.Ordinal));
    }

    [Fact]
    public void Scrape_says_its_format_and_its_length()
    {
        using MetricsServer server = Serve();

        string response = Exchange(server, "GET /metrics HTTP/1.1\r\n\r\n");

        string[] lines = response.Split("\r\n");
        Assert.Contains("Content-Type: text/plain; version=0.0.4; charset=utf-8", lines);
        Assert.Contains($"Content-Length: {Page.Length}", lines);
        Assert.Contains("Connection: close", lines);
    }

    [Fact]
    public void Page_that_is_longer_than_the_hosts_buffers_arrives_whole()
    {
        string page = new('x', 20_000_000);
        using MetricsServer server = Serve(() => page);

        string response = Exchange(server, "GET /metrics HTTP/1.1\r\n\r\n");

        Assert.EndsWith("\r\n\r\n" + page, response, StringComparison.Ordinal);
    }

    [Fact]
    public void Request_that_comes_byte_by_byte_is_answered()
    {
        using MetricsServer server = Serve();
        using Socket socket = Connect(server);

        foreach (byte one in "GET /metrics HTTP/1.1\r\n\r\n"u8)
        {
            _ = socket.Send([one]);
        }

        Assert.StartsWith("HTTP/1.1 200 OK", ReadAll(socket), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("GET /metrics HTTP/1.1\r\n")]
    public void Request_that_stays_a_part_is_given_up_at_the_deadline(string part)
    {
        using MetricsServer server = Serve(patience: TimeSpan.FromMilliseconds(200));

        Assert.StartsWith("HTTP/1.1 408 ", Exchange(server, part), StringComparison.Ordinal);
    }

    [Fact]
    public void Head_of_more_than_8_KiB_is_refused()
    {
        using MetricsServer server = Serve();

        string response = Exchange(server, "GET /metrics HTTP/1.1\r\nX: ".PadRight(3 * HttpRequestHead.BytesMax, 'x'));

        Assert.StartsWith("HTTP/1.1 431 ", response, StringComparison.Ordinal);
    }

    [Fact]
    public void Silent_connections_keep_others_waiting_no_longer_than_the_deadline()
    {
        using MetricsServer server = Serve(patience: TimeSpan.FromMilliseconds(500));
        var silent = new List<Socket>();
        for (int i = 0; i < MetricsServer.ConnectionsMax; i++)
        {
            silent.Add(Connect(server));
        }

        Assert.StartsWith("HTTP/1.1 200 ", Exchange(server, "GET /metrics HTTP/1.1\r\n\r\n"), StringComparison.Ordinal);
        silent.ForEach(socket => socket.Dispose());
    }

    [Fact]
    public void Connection_that_is_broken_off_harms_nobody()
    {
        using MetricsServer server = Serve();
        using (Socket socket = Connect(server))
        {
            socket.LingerState = new LingerOption(true, 0); // a reset
        }

        Assert.StartsWith("HTTP/1.1 200 ", Exchange(server, "GET /metrics HTTP/1.1\r\n\r\n"), StringComparison.Ordinal);
    }

    [Fact]
    public void Port_in_use_is_refused_by_name()
    {
        using MetricsServer server = Serve();

        FailureException error = Assert.Throws<FailureException>(
            () => new MetricsServer(new Endpoint("127.0.0.1", server.Port), () => Page, new HostClock()));

        Assert.Equal($"--metrics 127.0.0.1:{server.Port}: the port is in use; allowed: a free one", error.Message);
    }

    private static MetricsServer Serve(Func<string>? page = null, TimeSpan? patience = null)
        => new(new Endpoint("127.0.0.1", 0), page ?? (() => Page), new HostClock(), patience);

    private static Socket Connect(MetricsServer server)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp)
        {
            ReceiveTimeout = PatienceMillis,
        };
        socket.Connect(IPAddress.Loopback, server.Port);
        return socket;
    }

    private static string Exchange(MetricsServer server, string request)
    {
        using Socket socket = Connect(server);
        _ = socket.Send(Encoding.Latin1.GetBytes(request));
        return ReadAll(socket);
    }

    private static string ReadAll(Socket socket)
    {
        var response = new StringBuilder();
        byte[] buffer = new byte[64 << 10];
        int receivedBytes;
        while ((receivedBytes = socket.Receive(buffer)) > 0)
        {
            _ = response.Append(Encoding.Latin1.GetString(buffer, 0, receivedBytes));
        }

        return response.ToString();
    }
}
