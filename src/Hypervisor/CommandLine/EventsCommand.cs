using System.CommandLine;
using System.IO;
using Hypervisor.Control;
using Hypervisor.Sessions;

namespace Hypervisor.CommandLine;

/// <summary>`hv events`: what happened to a running guest, and what happens.</summary>
internal static class EventsCommand
{
    private static readonly Option<bool> s_follow = OptionShapes.Switch(
        "--follow", "Go on with events as they happen, until the guest's end or Ctrl-C.");

    private static readonly Option<bool> s_json = OptionShapes.Switch("--json", "Events as they come: a line each.");

    /// <summary>Builds the command.</summary>
    public static Command Build()
    {
        var command = new HelpfulCommand(
            "events",
            ControlCommands.DescriptionOf(ControlCommands.Events),
            "hv events --control guest.sock",
            "hv events --control guest.sock --follow --json")
        {
            s_follow,
            s_json,
        };
        WatchOptions.AddGuestTo(command);
        command.SetAction(words => Show(
            WatchOptions.ReadGuest(words),
            words.GetValue(s_follow),
            words.GetValue(s_json),
            words.InvocationConfiguration.Output));
        return command;
    }

    private static int Show(string path, bool follows, bool isJson, TextWriter output)
    {
        using var client = new ControlClient(path);
        int history = client.AskEvents(follows);
        for (int i = 0; follows || i < history; i++)
        {
            if (client.ReadLine() is not { } line)
            {
                return ExitCode.Success; // the guest is over
            }

            // An event of a later version is still worth its line.
            output.WriteLine(!isJson && StatusText.FromJson(line) is { } status ? StatusText.Describe(status) : line);
            output.Flush();
        }

        return ExitCode.Success;
    }
}
