using System.CommandLine;
using Hypervisor.Control;

namespace Hypervisor.CommandLine;

/// <summary>`hv stop`: ends a running guest in order.</summary>
internal static class StopCommand
{
    private const int PatienceMillis = 30_000; // a last epoch may take 10 s, and disks are flushed after it

    /// <summary>Builds the command.</summary>
    public static Command Build()
    {
        var command = new HelpfulCommand(
            "stop",
            ControlCommands.DescriptionOf(ControlCommands.Stop) + " Returns when it is over.",
            "hv stop --control guest.sock");
        WatchOptions.AddGuestTo(command);
        command.SetAction(words => Stop(WatchOptions.ReadGuest(words)));
        return command;
    }

    private static int Stop(string path)
    {
        using var client = new ControlClient(path);
        _ = client.Ask(ControlCommands.Stop);
        client.WaitForEnd(PatienceMillis);
        return ExitCode.Success;
    }
}
