using System.CommandLine;
using Hypervisor.Control;

namespace Hypervisor.CommandLine;

/// <summary>`hv top`: a running guest, live on the terminal.</summary>
internal static class TopCommand
{
    /// <summary>Builds the command.</summary>
    public static Command Build()
    {
        var command = new HelpfulCommand(
            "top",
            "Shows a guest live: state, epochs, lag, copy, and a chart of its pauses; q or Ctrl-C leaves.",
            "hv top --control guest.sock");
        WatchOptions.AddGuestTo(command);
        command.SetAction(words => TopScreen.Run(WatchOptions.ReadGuest(words)));
        return command;
    }
}
