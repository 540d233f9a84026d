using System.CommandLine;
using System.Threading;
using Hypervisor.Control;
using Hypervisor.Sessions;

namespace Hypervisor.CommandLine;

/// <summary>`hv takeover`: moves a guest to its standby.</summary>
internal static class TakeoverCommand
{
    private const int LookMillis = 20;
    private const int PatienceMillis = 30_000; // the lease of a primary that is away runs off first

    /// <summary>Builds the command.</summary>
    public static Command Build()
    {
        var command = new HelpfulCommand(
            "takeover",
            ControlCommands.DescriptionOf(ControlCommands.TakeOver)
            + " A primary that is there makes a last epoch, stops and hands over: nothing is lost, and if anything "
            + "fails before, the guest goes on there. If it is dead or hangs, the standby takes over once its lease is "
            + "over. Returns when the guest runs there.",
            "hv takeover --control standby.sock",
            "hv takeover --control primary.sock");
        WatchOptions.AddGuestTo(command);
        command.SetAction(words => TakeOver(WatchOptions.ReadGuest(words)));
        return command;
    }

    private static int TakeOver(string path)
    {
        using var client = new ControlClient(path);
        using var events = new ControlClient(path);
        _ = events.AskEvents(follows: true);
        GuestStatus before = client.AskStatus();
        _ = client.Ask(ControlCommands.TakeOver);
        return before.Role == GuestRole.Primary ? Leave(client, events, before) : Arrive(client, before);
    }

    /// <summary>Asked at the standby: until the guest runs here.</summary>
    private static int Arrive(ControlClient client, GuestStatus before)
    {
        GuestStatus status = Wait(client, before);
        return status.Role != GuestRole.Standby ? ExitCode.Success : throw new FailureException(
            $"takeover: the standby is {StatusTable.State(status)}, in generation {status.Generation} after "
            + $"{before.Generation}; {Why(status, "the primary was there and has won, or the witness is not")}: "
            + "see hv events");
    }

    /// <summary>Asked at the primary, which may be gone before it is asked how it went.</summary>
    private static int Leave(ControlClient client, ControlClient events, GuestStatus before)
    {
        try
        {
            GuestStatus status = Wait(client, before);
            return status.Role == GuestRole.Standby || status.State == "handedOver" ? ExitCode.Success
                : throw new FailureException(
                    $"takeover: the primary is {StatusTable.State(status)}; {Why(status, "see hv events")}");
        }
        catch (FailureException) when (HasHandedOver(events))
        {
            return ExitCode.Success;
        }
    }

    private static GuestStatus Wait(ControlClient client, GuestStatus before)
    {
        using var never = new ManualResetEventSlim(false);
        GuestStatus status = client.AskStatus();
        for (int millis = 0; IsUnderWay(before, status) && millis < PatienceMillis; millis += LookMillis)
        {
            _ = never.Wait(LookMillis);
            status = client.AskStatus();
        }

        return status;
    }

    private static bool IsUnderWay(GuestStatus before, GuestStatus status)
        => status.Role == before.Role && status.Incarnation == before.Incarnation
            && (status.SwitchOver.Asked == before.SwitchOver.Asked // it is on its way to the session
                || status.SwitchOver.IsUnderWay
                || status.State is "takingOver" or "deciding"
                || (status.State == "protecting" && status.SwitchOver.Error.Length == 0));

    private static string Why(GuestStatus status, string otherwise)
        => status.SwitchOver.Error.Length > 0 ? status.SwitchOver.Error : otherwise;

    /// <summary>Whether a process that has closed its socket said that it handed over.</summary>
    private static bool HasHandedOver(ControlClient events)
    {
        string last = "";
        while (events.ReadLine() is { } line)
        {
            StatusEvent? status = StatusText.FromJson(line);
            last = status is { Kind: StatusKind.Ended } ? status.Message : last;
        }

        return last.StartsWith("handed over", System.StringComparison.Ordinal);
    }
}
