using System;
using System.Collections.Generic;

namespace Hypervisor.Benchmarks.Network;

/// <summary>The words of `bench latency` after those that run.sh adds.</summary>
internal sealed record LatencyOptions
{
    /// <summary>One line for the user.</summary>
    public const string Usage = "bench latency [--rounds N] [--epoch TIME,…] [--report FILE]; TIME as in hv";

    /// <summary>How often everything runs.</summary>
    public int Rounds { get; private init; } = 3;

    /// <summary>Epoch lengths, as hv reads them.</summary>
    public IReadOnlyList<string> Epochs { get; private init; } = ["50ms"];

    /// <summary>File of the report; null for docs/protection.md.</summary>
    public string? Report { get; private init; }

    /// <summary>Reads the words.</summary>
    /// <exception cref="FormatException">They are wrong; the message says which and what is allowed.</exception>
    public static LatencyOptions Parse(ReadOnlySpan<string> words)
    {
        var options = new LatencyOptions();
        foreach ((string name, string value) in OptionWords.Pairs(words, Usage))
        {
            options = name switch
            {
                "--rounds" => options with { Rounds = OptionWords.Rounds(name, value, min: 1) },
                "--epoch" => options with { Epochs = value.Split(',') },
                "--report" => options with { Report = value },
                _ => throw new FormatException($"unknown {name}; usage: {Usage}"),
            };
        }

        return options;
    }
}
