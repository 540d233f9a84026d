using System.CommandLine;
using System.IO;
using System.Threading;
using Hypervisor.Control;

namespace Hypervisor.CommandLine;

/// <summary>`hv balloon`: how much of its memory a guest may use.</summary>
internal static class BalloonCommand
{
    private const long SizeUnitBytes = 1L << 20; // a number without suffix, as in QEMU's monitor
    private const int AnswerMillis = 200; // what a guest takes to say how it stands

    private static readonly Argument<string> s_size = new("SIZE")
    {
        Arity = ArgumentArity.ZeroOrOne,
        Description = "What the guest may keep: 512M, 1G; all of its RAM takes nothing. Without it: how it stands.",
    };

    /// <summary>Builds the command.</summary>
    public static Command Build()
    {
        var command = new HelpfulCommand(
            "balloon",
            ControlCommands.DescriptionOf(ControlCommands.Balloon)
            + " Without SIZE shows what the guest has given. The guest must have been started with --balloon.",
            "hv balloon 512M --control guest.sock",
            "hv balloon --control guest.sock")
        {
            s_size,
        };
        WatchOptions.AddGuestTo(command);
        command.SetAction(words => Run(
            WatchOptions.ReadGuest(words), words.GetValue(s_size), words.InvocationConfiguration.Output));
        return command;
    }

    private static int Run(string path, string? size, TextWriter output)
    {
        long? bytes = size is null ? null : SizeText.Parse("SIZE", size, SizeUnitBytes);
        using var client = new ControlClient(path);
        if (bytes is not null)
        {
            _ = client.Ask(new ControlRequest(ControlCommands.Balloon) { Bytes = bytes });
            return ExitCode.Success;
        }

        // A look asks the guest for statistics, which the next look finds.
        _ = client.AskStatus();
        using var never = new ManualResetEventSlim(false);
        _ = never.Wait(AnswerMillis);
        output.WriteLine(client.AskStatus().Balloon is { } balloon
            ? StatusTable.Balloon(balloon)
            : throw new FailureException("balloon: this guest has none; allowed: one that was started with --balloon"));
        return ExitCode.Success;
    }
}
