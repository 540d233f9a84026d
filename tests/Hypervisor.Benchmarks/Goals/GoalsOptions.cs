using System;
using System.Collections.Generic;
using System.Linq;

namespace Hypervisor.Benchmarks.Goals;

/// <summary>The words of `bench goals` after those that run.sh adds.</summary>
internal sealed record GoalsOptions
{
    /// <summary>Groups of rows.</summary>
    public static readonly IReadOnlyList<string> AllGroups = ["pause", "latency", "overhead", "takeover", "resync"];

    /// <summary>One line for the user.</summary>
    public const string Usage = "bench goals [--rounds N] [--only GROUP,…] [--report FILE]; GROUP: pause, latency, "
        + "overhead, takeover, resync";

    /// <summary>How often the benchmarks and the conversations run.</summary>
    public int Rounds { get; private init; } = 3;

    /// <summary>What is measured.</summary>
    public IReadOnlyList<string> Groups { get; private init; } = AllGroups;

    /// <summary>File of the report; null for docs/protection.md.</summary>
    public string? Report { get; private init; }

    /// <summary>Reads the words.</summary>
    /// <exception cref="FormatException">They are wrong; the message says which and what is allowed.</exception>
    public static GoalsOptions Parse(ReadOnlySpan<string> words)
    {
        var options = new GoalsOptions();
        foreach ((string name, string value) in OptionWords.Pairs(words, Usage))
        {
            options = name switch
            {
                "--rounds" => options with { Rounds = OptionWords.Rounds(name, value, min: 1) },
                "--only" => options with { Groups = ParseGroups(value) },
                "--report" => options with { Report = value },
                _ => throw new FormatException($"unknown {name}; usage: {Usage}"),
            };
        }

        return options;
    }

    private static string[] ParseGroups(string value)
        => value.Split(',').FirstOrDefault(word => !AllGroups.Contains(word)) is { } wrong
            ? throw new FormatException($"--only {wrong}: allowed are {string.Join(", ", AllGroups)}")
            : value.Split(',');
}
