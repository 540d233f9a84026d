using System;
using System.IO;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;
using Hypervisor.CommandLine;
using Hypervisor.Control;
using Hypervisor.Sessions;
using Xunit;

namespace Hypervisor.Tests.Control;

/// <summary>The commands themselves, with a real guest that nobody sees on a screen.</summary>
public sealed class WatchedProgramTests : IDisposable
{
    /// <summary>No stall of a busy host is a death.</summary>
    private const string Patient = "--lease 8s --takeover-timeout 15s";

    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(1);

    private readonly string _folder = Directory.CreateTempSubdirectory("hv").FullName;

    /// <summary>What a test that failed left behind must not keep the process from ending.</summary>
    public void Dispose()
    {
        foreach (string name in (string[])["c", "p", "s"])
        {
            if (Path.Exists(At(name)))
            {
                _ = CommandCatalog.Run(["stop", "--control", At(name)]);
            }
        }

        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task Guest_alone_is_seen_and_stopped()
    {
        Task<int> run = Start($"run --guest counting --memory 16M --serial null {Disk("a")} --control {At("c")}");
        WaitForState("c", "running");

        int code = CommandCatalog.Run(["stop", "--control", At("c")]);

        Assert.Equal(0, code);
        Assert.Equal(0, await run.WaitAsync(s_patience, TestContext.Current.CancellationToken));
        Assert.False(Path.Exists(At("c")));
    }

    [Fact]
    public async Task Both_halves_of_a_pair_are_seen_and_a_stop_ends_both()
    {
        (Task<int> primary, Task<int> standby) = StartPair();

        using var atStandby = new ControlClient(At("s"));
        GuestStatus seen = atStandby.AskStatus();
        using var atPrimary = new ControlClient(At("p"));
        GuestStatus shown = atPrimary.AskStatus();
        string smaller = Assert.Throws<FailureException>(
            () => CommandCatalog.Run(["resize", "d", "512K", "--control", At("p")])).Message;
        string unknown = Assert.Throws<FailureException>(
            () => CommandCatalog.Run(["resize", "x", "3M", "--control", At("p")])).Message;
        string elsewhere = Assert.Throws<FailureException>(
            () => CommandCatalog.Run(["resize", "d", "3M", "--control", At("s")])).Message;
        int resized = CommandCatalog.Run(["resize", "d", "3M", "--control", At("p")]);
        GuestStatus after = atPrimary.AskStatus();
        int code = CommandCatalog.Run(["stop", "--control", At("p")]);

        Assert.Equal((GuestRole.Standby, "protecting", "d"), (seen.Role, seen.State, seen.Disks[0].Id));
        Assert.Equal((GuestRole.Primary, seen.Incarnation), (shown.Role, shown.Incarnation));
        Assert.True(shown.Pauses.Count > 0 && shown.CopyTotalBytes > 16 << 20);
        Assert.Contains("would be lost; allowed: more, or --shrink", smaller, StringComparison.Ordinal);
        Assert.Equal("resize: disk 'x' is not known; allowed: d", unknown);
        Assert.Contains("allowed: where it runs", elsewhere, StringComparison.Ordinal);
        Assert.Equal((0, "protected", 3L << 20), (resized, after.State, after.Disks[0].LengthBytes));
        Assert.Equal((3L << 20, 3L << 20), (new FileInfo(At("a")).Length, new FileInfo(At("b")).Length));
        Assert.Equal(0, code);
        int[] codes = await Task.WhenAll(primary, standby).WaitAsync(s_patience, TestContext.Current.CancellationToken);
        Assert.Equal([0, 0], codes);
    }

    [Theory]
    [InlineData("p", false)]
    [InlineData("s", false)]
    [InlineData("p", true)]
    [InlineData("s", true)]
    public async Task Guest_moves_to_its_standby_and_back(string askedAt, bool sharesDisk)
    {
        int firstPort = FindFreePort();
        string shared = sharesDisk ? $" {SharedDisk}" : "";
        string both = $"--memory 16M --serial null --witness file:{At("w")} --follow {Patient}{shared}";
        Task<int> second = Start($"standby --listen 127.0.0.1:0 --standby 127.0.0.1:{firstPort} {both} {Disk("b")} "
            + $"--control {At("s")}");
        WaitForState("s", "idle");
        int port = PortOf("s");
        Task<int> first = Start(
            $"run --guest counting --standby 127.0.0.1:{port} {both.Replace(" --follow", "")} {Disk("a")} "
            + $"--control {At("p")}");
        WaitForState("p", "protected");

        int moved = CommandCatalog.Run(["takeover", "--control", At(askedAt)]);

        Assert.Equal(0, moved);
        Assert.Equal(0, await first.WaitAsync(s_patience, TestContext.Current.CancellationToken));
        WaitForState("s", "alone");
        first = Start($"standby --listen 127.0.0.1:{firstPort} {both} {Disk("a")} --control {At("p")}");
        WaitForState("s", "protected");
        Assert.Equal(0, CommandCatalog.Run(["takeover", "--control", At("s")]));
        WaitForState("p", "live");
        using (var client = new ControlClient(At("p")))
        {
            Assert.Equal(3u, client.AskStatus().Generation);
        }

        WaitForState("s", "idle"); // it follows: a standby again
        Assert.Equal(0, CommandCatalog.Run(["stop", "--control", At("p")]));
        Assert.Equal(0, CommandCatalog.Run(["stop", "--control", At("s")]));
        int[] codes = await Task.WhenAll(first, second).WaitAsync(s_patience, TestContext.Current.CancellationToken);
        Assert.Equal([0, 0], codes);
    }

    [Fact]
    public async Task Drill_runs_beside_the_standby_until_a_takeover_ends_it()
    {
        (Task<int> primary, Task<int> standby) = StartPair();
        using var client = new ControlClient(At("s"));

        using (JsonDocument drill = client.AskDrill(s_patience, "[0-9]+"))
        {
            Assert.Equal("the pattern came", drill.RootElement.GetProperty("reason").GetString());
            Assert.True(drill.RootElement.GetProperty("hasPassed").GetBoolean());
            Assert.True(drill.RootElement.GetProperty("instructions").GetInt64() > 0);
            Assert.Matches("[0-9]+", drill.RootElement.GetProperty("console")[0].GetString());
        }

        ulong epoch = client.AskStatus().AppliedEpoch;
        Assert.True(SpinWait.SpinUntil(() => client.AskStatus().AppliedEpoch > epoch + 2, s_patience));
        Task<JsonDocument> second = Task.Factory.StartNew(
            () => client.AskDrill(s_patience, "never"),
            CancellationToken.None,
            TaskCreationOptions.LongRunning, // the pool may be busy for longer than what follows waits
            TaskScheduler.Default);
        using (var other = new ControlClient(At("s")))
        {
            Assert.False(SpinWait.SpinUntil(() => second.IsCompleted, TimeSpan.FromSeconds(1)));
            Assert.True(IsRefused(other));
        }

        Assert.Equal(0, CommandCatalog.Run(["takeover", "--control", At("s")]));
        using (JsonDocument drill = await second.WaitAsync(s_patience, TestContext.Current.CancellationToken))
        {
            Assert.StartsWith("the standby no longer protects", drill.RootElement.GetProperty("reason").GetString());
        }

        Assert.Equal(0, CommandCatalog.Run(["stop", "--control", At("s")]));
        int[] codes = await Task.WhenAll(primary, standby).WaitAsync(s_patience, TestContext.Current.CancellationToken);
        Assert.Equal([0, 0], codes);
    }

    [Fact]
    public async Task Halves_that_share_a_disk_are_protected_and_nobody_else_writes_to_it()
    {
        string shared = SharedDisk;
        string both = $"--memory 16M --serial null --witness file:{At("w")} {Patient} {shared}";
        Task<int> standby = Start($"standby --listen 127.0.0.1:0 {both} {Disk("b")} --control {At("s")}");
        WaitForState("s", "idle");
        Task<int> primary = Start(
            $"run --guest counting --standby 127.0.0.1:{PortOf("s")} {both} {Disk("a")} --control {At("p")}");
        WaitForState("p", "protected");

        string third = Assert.Throws<FailureException>(
            () => CommandCatalog.Run($"run --guest counting --serial null {shared}".Split(' '))).Message;
        using var atPrimary = new ControlClient(At("p"));
        string resize = Assert.Throws<FailureException>(
            () => CommandCatalog.Run(["resize", "s", "3M", "--control", At("p")])).Message;
        using var atStandby = new ControlClient(At("s"));
        string drill = Assert.Throws<FailureException>(() => atStandby.AskDrill(s_patience, null)).Message;
        Assert.True(SpinWait.SpinUntil(() => atPrimary.AskStatus().ReleasedEpoch > 3, s_patience));
        int code = CommandCatalog.Run(["stop", "--control", At("p")]);

        Assert.Equal(0, code);
        int[] codes = await Task.WhenAll(primary, standby).WaitAsync(s_patience, TestContext.Current.CancellationToken);
        Assert.Equal([0, 0], codes);
        Assert.Contains("in use by another instance", third, StringComparison.Ordinal);
        Assert.Contains("cannot be resized", resize, StringComparison.Ordinal);
        Assert.Contains("drive s is shared with the primary", drill, StringComparison.Ordinal);
        Assert.Contains(
            await File.ReadAllBytesAsync(At("shared"), TestContext.Current.CancellationToken), value => value != 0);
    }

    private static bool IsRefused(ControlClient client)
    {
        try
        {
            client.AskDrill(TimeSpan.FromMilliseconds(1), null).Dispose();
            return false;
        }
        catch (FailureException error)
        {
            return error.Message.StartsWith("drill: one is under way", StringComparison.Ordinal);
        }
    }

    private string SharedDisk => Disk("shared").Replace("id=d", "id=s,shared=on", StringComparison.Ordinal);

    private string At(string name) => Path.Combine(_folder, name);

    private string Disk(string name)
    {
        using FileStream image = File.Create(At(name));
        image.SetLength(1 << 20);
        return $"--drive file={At(name)},id=d";
    }

    /// <summary>A guest at "p" that is protected by "s"; their disks are "a" and "b".</summary>
    private (Task<int> Primary, Task<int> Standby) StartPair()
    {
        string both = $"--memory 16M --serial null --witness file:{At("w")} {Patient}";
        Task<int> standby = Start($"standby --listen 127.0.0.1:0 {both} {Disk("b")} --control {At("s")}");
        WaitForState("s", "idle");
        Task<int> primary = Start(
            $"run --guest counting --standby 127.0.0.1:{PortOf("s")} {both} {Disk("a")} --control {At("p")}");
        WaitForState("p", "protected");
        WaitForState("s", "protecting");
        return (primary, standby);
    }

    // A thread of its own: it is the program's main thread, and waits until the guest is over.
    private static Task<int> Start(string words) => Task.Factory.StartNew(
        () => CommandCatalog.Run(words.Split(' ')),
        CancellationToken.None,
        TaskCreationOptions.LongRunning,
        TaskScheduler.Default);

    private void WaitForState(string name, string state)
    {
        using var never = new ManualResetEventSlim();
        long deadline = Environment.TickCount64 + (long)s_patience.TotalMilliseconds;
        while (StateOf(name) != state)
        {
            Assert.True(Environment.TickCount64 < deadline, StateOf(name));
            never.Wait(5, TestContext.Current.CancellationToken); // a connection each: the server has 16 places
        }
    }

    private string StateOf(string name)
    {
        try
        {
            using var client = new ControlClient(At(name));
            return client.AskStatus().State;
        }
        catch (FailureException error)
        {
            return error.Message;
        }
    }

    private static int FindFreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private int PortOf(string name)
    {
        using var client = new ControlClient(At(name));
        for (int left = client.AskEvents(follows: false); left > 0; left--)
        {
            if (StatusText.FromJson(client.ReadLine() ?? "") is { Kind: StatusKind.Listening } listening)
            {
                return listening.Port;
            }
        }

        return 0;
    }
}
