using System.CommandLine;
using System.IO;
using Hypervisor.Control;

namespace Hypervisor.CommandLine;

/// <summary>`hv status`: where a running guest stands.</summary>
internal static class StatusCommand
{
    private static readonly Option<bool> s_json = OptionShapes.Switch("--json", "The answer as it came: one line.");

    /// <summary>Builds the command.</summary>
    public static Command Build()
    {
        var command = new HelpfulCommand(
            "status",
            ControlCommands.DescriptionOf(ControlCommands.Status),
            "hv status --control /run/user/1000/guest.sock",
            "hv status --control guest.sock --json | jq .epochs.acked")
        {
            s_json,
        };
        WatchOptions.AddGuestTo(command);
        command.SetAction(words => Show(
            WatchOptions.ReadGuest(words), words.GetValue(s_json), words.InvocationConfiguration.Output));
        return command;
    }

    private static int Show(string path, bool isJson, TextWriter output)
    {
        using var client = new ControlClient(path);
        if (isJson)
        {
            output.WriteLine(client.Ask(ControlCommands.Status));
            return ExitCode.Success;
        }

        foreach (string line in StatusTable.Write(client.AskStatus()))
        {
            output.WriteLine(line);
        }

        return ExitCode.Success;
    }
}
