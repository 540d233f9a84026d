using System;
using System.IO;
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
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(1);

    private readonly string _folder = Directory.CreateTempSubdirectory("hv").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

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
        string both = $"--memory 16M --serial null --witness file:{At("w")}";
        Task<int> standby = Start($"standby --listen 127.0.0.1:0 {both} {Disk("b")} --control {At("s")}");
        WaitForState("s", "idle");
        Task<int> primary = Start(
            $"run --guest counting --standby 127.0.0.1:{PortOf("s")} {both} {Disk("a")} --control {At("p")}");
        WaitForState("p", "protected");

        using var atStandby = new ControlClient(At("s"));
        GuestStatus seen = atStandby.AskStatus();
        using var atPrimary = new ControlClient(At("p"));
        string refusal = Assert.Throws<FailureException>(() => atPrimary.Ask("takeover")).Message;
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
        Assert.StartsWith("takeover: the guest runs here already", refusal, StringComparison.Ordinal);
        Assert.Contains("would be lost; allowed: more, or --shrink", smaller, StringComparison.Ordinal);
        Assert.Equal("resize: disk 'x' is not known; allowed: d", unknown);
        Assert.Contains("allowed: where it runs", elsewhere, StringComparison.Ordinal);
        Assert.Equal((0, "protected", 3L << 20), (resized, after.State, after.Disks[0].LengthBytes));
        Assert.Equal((3L << 20, 3L << 20), (new FileInfo(At("a")).Length, new FileInfo(At("b")).Length));
        Assert.Equal(0, code);
        int[] codes = await Task.WhenAll(primary, standby).WaitAsync(s_patience, TestContext.Current.CancellationToken);
        Assert.Equal([0, 0], codes);
    }

    private string At(string name) => Path.Combine(_folder, name);

    private string Disk(string name)
    {
        using FileStream image = File.Create(At(name));
        image.SetLength(1 << 20);
        return $"--drive file={At(name)},id=d";
    }

    // A thread of its own: it is the program's main thread, and waits until the guest is over.
    private static Task<int> Start(string words) => Task.Factory.StartNew(
        () => CommandCatalog.Run(words.Split(' ')),
        CancellationToken.None,
        TaskCreationOptions.LongRunning,
        TaskScheduler.Default);

    private void WaitForState(string name, string state)
        => Assert.True(SpinWait.SpinUntil(() => StateOf(name) == state, s_patience), StateOf(name));

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
