using System;
using System.CommandLine;
using System.IO;
using System.Text.Json;
using Hypervisor.Control;
using Hypervisor.Sessions;

namespace Hypervisor.CommandLine;

/// <summary>`hv drill`: tries whether a standby's guest would run.</summary>
internal static class DrillCommand
{
    private static readonly TimeSpan s_shortest = TimeSpan.FromMilliseconds(1);

    private static readonly Option<string> s_for = OptionShapes.One(
        "--for", "DURATION", "How long the copy runs; default 10s.");

    private static readonly Option<string> s_until = OptionShapes.One(
        "--until", "REGEX", "What one of its consoles must print; it ends as soon as it did.");

    /// <summary>Builds the command.</summary>
    public static Command Build()
    {
        var command = new HelpfulCommand(
            "drill",
            ControlCommands.DescriptionOf(ControlCommands.Drill)
            + " The copy has RAM and disks of one committed epoch, no network, and nothing of it is kept. While its "
            + "RAM is copied, no epoch is committed. A takeover ends it at once.",
            "hv drill --control standby.sock --for 30s",
            "hv drill --control standby.sock --for 1m --until 'tick [0-9]+'")
        {
            s_for,
            s_until,
        };
        WatchOptions.AddGuestTo(command);
        command.SetAction(words => Run(
            WatchOptions.ReadGuest(words),
            words.GetValue(s_for) is { } time
                ? DurationText.Parse(s_for.Name, time, s_shortest, DrillTerms.TimeMax) : ControlRequest.DrillTime,
            CheckPattern(words.GetValue(s_until)),
            words.InvocationConfiguration.Output));
        return command;
    }

    /// <summary>A guest's text, which must not speak to the terminal.</summary>
    private static string Printable(string line)
        => string.Create(line.Length, line, static (target, source) =>
        {
            for (int i = 0; i < target.Length; i++)
            {
                target[i] = char.IsControl(source[i]) ? '.' : source[i];
            }
        });

    private static string? CheckPattern(string? pattern)
    {
        try
        {
            _ = pattern is null ? null : DrillTerms.Pattern(pattern);
            return pattern;
        }
        catch (Exception error) when (error is ArgumentException or NotSupportedException)
        {
            throw new UsageException(
                $"--until: {HostErrors.OneLine(error.Message)}; allowed: a .NET regular expression without "
                + "back references and lookarounds");
        }
    }

    private static int Run(string path, TimeSpan time, string? until, TextWriter output)
    {
        using var client = new ControlClient(path);
        using JsonDocument answer = client.AskDrill(time, until);
        JsonElement drill = answer.RootElement;
        foreach (JsonElement line in drill.GetProperty("console").EnumerateArray())
        {
            output.WriteLine($"| {Printable(line.GetString() ?? "")}");
        }

        string summary = FormattableString.Invariant(
            $"drill from epoch {drill.GetProperty("epoch")}: {drill.GetProperty("reason")}; copied in ")
            + FormattableString.Invariant($"{drill.GetProperty("copyMicros").GetInt64() / 1e3:0.0} ms, ran ")
            + FormattableString.Invariant($"{drill.GetProperty("runMicros").GetInt64() / 1e3:0.0} ms, ")
            + $"{drill.GetProperty("instructions")} instructions";
        if (!drill.GetProperty("hasPassed").GetBoolean())
        {
            throw new FailureException(summary);
        }

        output.WriteLine(summary);
        return ExitCode.Success;
    }
}
