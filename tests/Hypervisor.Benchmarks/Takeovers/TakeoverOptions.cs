using System;

namespace Hypervisor.Benchmarks.Takeovers;

/// <summary>The words of a campaign after those that run.sh adds.</summary>
internal sealed record TakeoverOptions
{
    /// <summary>How often the guest changes its host.</summary>
    public int Count { get; private init; }

    /// <summary>What the faults and their moments follow from.</summary>
    public int Seed { get; private init; } = 1;

    /// <summary>File of the report; null for docs/protection.md.</summary>
    public string? Report { get; private init; }

    /// <summary>Whether the guest's disk is one image that both hosts reach.</summary>
    public bool IsShared { get; private init; }

    /// <summary>One line for the user.</summary>
    public static string Usage(string name) => $"bench {name} [--count N] [--seed S] [--report FILE] [--shared on|off]";

    /// <summary>Reads the words.</summary>
    /// <param name="command">Name of the campaign.</param>
    /// <param name="count">How often the guest changes its host, unless the words say it.</param>
    /// <param name="words">The words.</param>
    /// <exception cref="FormatException">They are wrong; the message says which and what is allowed.</exception>
    public static TakeoverOptions Parse(string command, int count, ReadOnlySpan<string> words)
    {
        var options = new TakeoverOptions { Count = count };
        foreach ((string name, string value) in OptionWords.Pairs(words, Usage(command)))
        {
            options = name switch
            {
                "--count" => options with { Count = OptionWords.Rounds(name, value, min: 1) },
                "--seed" => options with { Seed = (int)OptionWords.Number(name, value, 0, int.MaxValue) },
                "--shared" when value is "on" or "off" => options with { IsShared = value == "on" },
                "--report" => options with { Report = value },
                _ => throw new FormatException($"unknown {name}; usage: {Usage(command)}"),
            };
        }

        return options;
    }
}
