using System;

namespace Hypervisor.Benchmarks.Takeovers;

/// <summary>The words of `bench takeovers` after those that run.sh adds.</summary>
internal sealed record TakeoverOptions
{
    /// <summary>One line for the user.</summary>
    public const string Usage = "bench takeovers [--count N] [--seed S] [--report FILE]";

    /// <summary>How often the primary is lost.</summary>
    public int Count { get; private init; } = 40;

    /// <summary>What the faults and their moments follow from.</summary>
    public int Seed { get; private init; } = 1;

    /// <summary>File of the report; null for docs/protection.md.</summary>
    public string? Report { get; private init; }

    /// <summary>Reads the words.</summary>
    /// <exception cref="FormatException">They are wrong; the message says which and what is allowed.</exception>
    public static TakeoverOptions Parse(ReadOnlySpan<string> words)
    {
        var options = new TakeoverOptions();
        foreach ((string name, string value) in OptionWords.Pairs(words, Usage))
        {
            options = name switch
            {
                "--count" => options with { Count = OptionWords.Rounds(name, value, min: 1) },
                "--seed" => options with { Seed = (int)OptionWords.Number(name, value, 0, int.MaxValue) },
                "--report" => options with { Report = value },
                _ => throw new FormatException($"unknown {name}; usage: {Usage}"),
            };
        }

        return options;
    }
}
