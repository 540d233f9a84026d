using System.CommandLine;
using System.Threading;
using Hypervisor.Control;

namespace Hypervisor.CommandLine;

/// <summary>`hv takeover`: makes a standby run the guest.</summary>
internal static class TakeoverCommand
{
    private const int LookMillis = 100;
    private const int PatienceMillis = 30_000; // the primary's lease of up to some seconds runs off first

    /// <summary>Builds the command.</summary>
    public static Command Build()
    {
        var command = new HelpfulCommand(
            "takeover",
            ControlCommands.DescriptionOf(ControlCommands.TakeOver)
            + " Returns when the guest runs there. A primary that is alive wins if it may go on alone; one that was "
            + "started with --on-standby-loss wait or stop gives the guest away.",
            "hv takeover --control standby.sock");
        WatchOptions.AddGuestTo(command);
        command.SetAction(words => TakeOver(WatchOptions.ReadGuest(words)));
        return command;
    }

    private static int TakeOver(string path)
    {
        using var client = new ControlClient(path);
        GuestStatus before = client.AskStatus();
        _ = client.Ask(ControlCommands.TakeOver);
        using var never = new ManualResetEventSlim(false);
        GuestStatus status = client.AskStatus();
        for (int millis = 0; IsUnderWay(before, status) && millis < PatienceMillis; millis += LookMillis)
        {
            _ = never.Wait(LookMillis);
            status = client.AskStatus();
        }

        return status.Role != GuestRole.Standby ? ExitCode.Success : throw new FailureException(
            $"takeover: the standby is {StatusTable.State(status)}, in generation {status.Generation} after "
            + $"{before.Generation}; the primary was there and has won, or the witness is not: see hv events");
    }

    private static bool IsUnderWay(GuestStatus before, GuestStatus status)
        => status.Role == GuestRole.Standby && status.Incarnation == before.Incarnation
            && status.State is "protecting" or "takingOver" or "deciding";
}
