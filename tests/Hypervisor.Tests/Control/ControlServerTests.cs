using System;
using System.Collections.Generic;
using System.IO;
using System.Net.Sockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Hypervisor.CommandLine;
using Hypervisor.Control;
using Hypervisor.Sessions;
using Xunit;

namespace Hypervisor.Tests.Control;

public sealed class ControlServerTests : IDisposable
{
    private const int PatienceMillis = 20_000;

    private static readonly TimeSpan s_patience = TimeSpan.FromMilliseconds(PatienceMillis);

    private readonly string _folder = Directory.CreateTempSubdirectory("hv").FullName;
    private readonly WatchedGuest _guest = new();

    private string PathOf(string name) => Path.Combine(_folder, name);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Two_guests_of_one_process_answer_for_themselves()
    {
        using GuestWatch first = Open("first", out _);
        using GuestWatch second = Open("second", out _);
        using var ofFirst = new ControlClient(PathOf("first"));
        using var ofSecond = new ControlClient(PathOf("second"));

        Assert.Equal("first", ofFirst.AskStatus().Guest);
        Assert.Equal("second", ofSecond.AskStatus().Guest);
        Assert.Equal("first", ofFirst.AskStatus().Guest);
    }

    [Fact]
    public void Stop_reaches_the_guest_and_returns_when_its_process_is_through()
    {
        GuestWatch watch = Open("a", out _);
        using var client = new ControlClient(PathOf("a"));

        _ = client.Ask("stop");
        watch.Dispose();
        client.WaitForEnd(PatienceMillis);

        Assert.Equal("asked for over the control socket", _guest.StopReason);
    }

    [Fact]
    public void Takeover_is_asked_of_the_guest_and_its_refusal_comes_back()
    {
        var guest = new WatchedGuest { TakeOverError = "takeover: state is idle; allowed: protecting" };
        using GuestWatch watch = Open("a", out _);
        using IDisposable shown = watch.Show(guest);
        using var client = new ControlClient(PathOf("a"));

        FailureException error = Assert.Throws<FailureException>(() => client.Ask("takeover"));

        Assert.Equal("takeover: state is idle; allowed: protecting", error.Message);
        Assert.Equal(1, guest.TakeOvers);
    }

    [Theory]
    [InlineData(null, 64L << 20)]
    [InlineData(1L << 20, 1L << 20)]
    public void Scrub_is_asked_of_the_guest_with_its_rate(long? asked, long rate)
    {
        var guest = new WatchedGuest();
        using GuestWatch watch = Open("a", out _);
        using IDisposable shown = watch.Show(guest);
        using var client = new ControlClient(PathOf("a"));

        _ = client.Ask(new ControlRequest("scrub") { BytesPerSecond = asked ?? ControlRequest.UsualRate });

        Assert.Equal(rate, guest.ScrubRate);
    }

    [Fact]
    public void Guest_that_is_hidden_is_asked_nothing_more_and_shows_as_ended()
    {
        using GuestWatch watch = Open("a", out _);
        using var client = new ControlClient(PathOf("a"));
        _guest.Shown = _guest.Shown with { BytesSent = 7 };
        watch.Show(_guest).Dispose();
        _guest.Shown = _guest.Shown with { BytesSent = 8 };

        GuestStatus status = client.AskStatus();

        Assert.Equal(("ended", 7), (status.State, status.BytesSent));
        Assert.Contains("the guest is ended", Assert.Throws<FailureException>(() => client.Ask("stop")).Message);
        Assert.Null(_guest.StopReason);
    }

    [Theory]
    [InlineData("", "no JSON")]
    [InlineData("status", "no JSON")]
    [InlineData("{\"command\":\"status\"", "no JSON")]
    [InlineData("{\"command\":\"status\"} {}", "no JSON")]
    [InlineData("{\"a\":{\"b\":{\"c\":1}}}", "no JSON")]
    [InlineData("[]", "the line is array")]
    [InlineData("7", "the line is number")]
    [InlineData(
        "{}", "command: missing; allowed: status, events, stop, takeover, scrub, drill, balloon, resize, commands")]
    [InlineData("{\"command\":\"resize\",\"bytes\":1}", "resize: disk or bytes are missing")]
    [InlineData("{\"command\":\"balloon\"}", "balloon: bytes are missing")]
    [InlineData("{\"command\":\"balloon\",\"bytes\":\"1\"}", "field 'bytes' is not understood")]
    [InlineData("{\"command\":7}", "field 'command' is not understood")]
    [InlineData("{\"command\":\"fly\"}", "command 'fly' is not known; allowed: status, events")]
    [InlineData("{\"command\":\"status\",\"now\":true}", "field 'now' is not understood")]
    [InlineData("{\"command\":\"events\",\"follow\":1}", "field 'follow' is not understood")]
    public void Bad_line_is_refused_and_the_connection_lives_on(string line, string error)
    {
        using GuestWatch watch = Open("a", out _);
        using Socket socket = ControlSocket.Connect(PathOf("a"));

        string answer = Exchange(socket, line);

        Assert.StartsWith("{\"ok\":false,\"error\":\"", answer, StringComparison.Ordinal);
        Assert.Contains(error, answer.Replace("\\\"", "\"", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.StartsWith("{\"ok\":true,", Exchange(socket, "{\"command\":\"status\"}"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, "\"ok\":true")]
    [InlineData(1, "too long; allowed: 65536 bytes")]
    [InlineData(70_000, "too long; allowed: 65536 bytes")]
    public void Line_longer_than_64_KiB_is_refused_and_the_connection_lives_on(int excessBytes, string expected)
    {
        const string Request = "{\"command\":\"commands\"}";
        using GuestWatch watch = Open("a", out _);
        using Socket socket = ControlSocket.Connect(PathOf("a"));

        string answer = Exchange(socket, Request.PadRight(LineReader.LineBytesMax + excessBytes));

        Assert.Contains(expected, answer, StringComparison.Ordinal);
        Assert.StartsWith("{\"ok\":true,", Exchange(socket, Request), StringComparison.Ordinal);
    }

    [Fact]
    public void Lines_that_come_together_or_in_pieces_are_answered_one_by_one()
    {
        using GuestWatch watch = Open("a", out _);
        using Socket socket = ControlSocket.Connect(PathOf("a"));
        var answers = new LineReader(socket);

        _ = socket.Send(Encoding.UTF8.GetBytes("{\"command\":\"commands\"}\nx\n{\"comm"));
        string[] first = [ReadLine(answers), ReadLine(answers)];
        _ = socket.Send(Encoding.UTF8.GetBytes("and\":\"status\"}\n"));

        Assert.Contains("\"name\":\"takeover\"", first[0], StringComparison.Ordinal);
        Assert.Contains("no JSON", first[1], StringComparison.Ordinal);
        Assert.Contains("\"role\":\"primary\"", ReadLine(answers), StringComparison.Ordinal);
    }

    [Fact]
    public void One_client_too_many_is_told_so_until_another_leaves()
    {
        using GuestWatch watch = Open("a", out _);
        var clients = new List<ControlClient>();
        for (int i = 0; i < ControlServer.ClientsMax; i++)
        {
            clients.Add(new ControlClient(PathOf("a")));
            _ = clients[i].AskStatus();
        }

        using var refused = new ControlClient(PathOf("a"));
        string error = Assert.Throws<FailureException>(refused.AskStatus).Message;
        clients[3].Dispose();

        Assert.Equal("16 clients are connected; allowed: 16", error);
        Assert.True(SpinWait.SpinUntil(IsServed, PatienceMillis));
        clients.ForEach(client => client.Dispose());

        bool IsServed()
        {
            using var client = new ControlClient(PathOf("a"));
            try
            {
                return client.AskStatus().Guest == "a";
            }
            catch (FailureException)
            {
                return false;
            }
        }
    }

    [Fact]
    public void Events_begin_with_the_history_and_go_on_to_the_end()
    {
        GuestWatch watch = Open("a", out EventFeed events);
        events.Publish(Said("before"));
        using var client = new ControlClient(PathOf("a"));

        int history = client.AskEvents(follows: true);
        string? before = client.ReadLine();
        events.Publish(Said("after"));
        string? after = client.ReadLine();
        events.Publish(Said("last"));
        watch.Dispose();

        Assert.Equal(1, history);
        Assert.Equal(["before", "after", "last"], Array.ConvertAll([before, after, client.ReadLine()], Message));
        Assert.Null(client.ReadLine());
    }

    [Fact]
    public void Events_without_follow_are_the_history_and_the_connection_lives_on()
    {
        using GuestWatch watch = Open("a", out EventFeed events);
        events.Publish(Said("one"));
        events.Publish(Said("two"));
        using var client = new ControlClient(PathOf("a"));

        int history = client.AskEvents(follows: false);
        string?[] lines = [client.ReadLine(), client.ReadLine()];

        Assert.Equal(2, history);
        Assert.Equal(["one", "two"], Array.ConvertAll(lines, Message));
        Assert.Equal("two", client.AskStatus().LastEvent);
    }

    [Fact]
    public async Task Client_that_does_not_read_its_events_is_dropped_and_nobody_waits_for_it()
    {
        const int Published = 20_000;
        using GuestWatch watch = Open("a", out EventFeed events);
        using var slow = new ControlClient(PathOf("a"));
        _ = slow.AskEvents(follows: true);

        for (int i = 0; i < Published; i++)
        {
            events.Publish(Said(new string('x', 200)));
        }

        // It may read what is in the host's buffers; that and no more, even after its patience is over.
        using var other = new ControlClient(PathOf("a"));
        Assert.Equal("a", other.AskStatus().Guest);
        Task<int> reading = Task.Run(() => CountLines(slow), TestContext.Current.CancellationToken);
        int read = await reading.WaitAsync(s_patience, TestContext.Current.CancellationToken);
        Assert.InRange(read, 0, Published - 1); // none if its thread never ran in between
    }

    [Fact]
    public void Client_that_leaves_its_events_is_forgotten()
    {
        using GuestWatch watch = Open("a", out _);
        for (int i = 0; i < ControlServer.ClientsMax; i++)
        {
            using var client = new ControlClient(PathOf("a"));
            _ = client.AskEvents(follows: true);
        }

        Assert.True(SpinWait.SpinUntil(
            () =>
            {
                using Socket socket = ControlSocket.Connect(PathOf("a"));
                return Exchange(socket, "{\"command\":\"status\"}").Contains("\"role\"", StringComparison.Ordinal);
            },
            PatienceMillis));
    }

    private GuestWatch Open(string name, out EventFeed events)
    {
        events = new EventFeed();
        var watch = new GuestWatch(name, GuestRole.Primary, events, PathOf(name), metrics: null);
        _guest.Shown = _guest.Shown with { Role = GuestRole.Primary };
        _ = watch.Show(_guest);
        return watch;
    }

    private static int CountLines(ControlClient client)
    {
        int count = 0;
        while (client.ReadLine() is not null)
        {
            count++;
        }

        return count;
    }

    private static StatusEvent Said(string message) => new(StatusKind.State, 1) { Message = message };

    private static string Message(string? line) => StatusText.FromJson(line ?? "")?.Message ?? "";

    private static string Exchange(Socket socket, string line)
    {
        socket.ReceiveTimeout = PatienceMillis;
        try
        {
            _ = socket.Send(Encoding.UTF8.GetBytes(line + "\n"));
        }
        catch (SocketException)
        {
            // refused before it could ask; the answer says so
        }

        return ReadLine(new LineReader(socket));
    }

    private static string ReadLine(LineReader lines)
        => lines.TryRead(out ReadOnlyMemory<byte> line, out _) ? Encoding.UTF8.GetString(line.Span) : "";
}
