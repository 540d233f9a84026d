using System;

namespace Hypervisor.Benchmarks.Takeovers;

/// <summary>The words of `bench soak` after those that run.sh adds.</summary>
internal sealed record SoakOptions
{
    /// <summary>One line for the user.</summary>
    public const string Usage = "bench soak [--minutes N] [--every N] [--seed S] [--report FILE]";

    private const double MinutesMin = 2, MinutesMax = 10_080; // a week
    private const double EveryMin = 0.5; // less, and the pair is not whole again

    /// <summary>How long.</summary>
    public double Minutes { get; private init; } = 60;

    /// <summary>Minutes from one takeover to the next.</summary>
    public double Every { get; private init; } = 1;

    /// <summary>What the faults and their moments follow from.</summary>
    public int Seed { get; private init; } = 1;

    /// <summary>File of the report; null for docs/protection.md.</summary>
    public string? Report { get; private init; }

    /// <summary>Reads the words.</summary>
    /// <exception cref="FormatException">They are wrong; the message says which and what is allowed.</exception>
    public static SoakOptions Parse(ReadOnlySpan<string> words)
    {
        var options = new SoakOptions();
        foreach ((string name, string value) in OptionWords.Pairs(words, Usage))
        {
            options = name switch
            {
                "--minutes" => options with { Minutes = OptionWords.Number(name, value, MinutesMin, MinutesMax) },
                "--every" => options with { Every = OptionWords.Number(name, value, EveryMin, MinutesMax) },
                "--seed" => options with { Seed = (int)OptionWords.Number(name, value, 0, int.MaxValue) },
                "--report" => options with { Report = value },
                _ => throw new FormatException($"unknown {name}; usage: {Usage}"),
            };
        }

        return options;
    }
}
