using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.RegularExpressions;
using Hypervisor.Benchmarks.Kit;

namespace Hypervisor.Benchmarks.Protection;

/// <summary>The words of `bench protected` after those that run.sh adds.</summary>
internal sealed partial record ProtectionOptions
{
    /// <summary>One line for the user.</summary>
    public const string Usage =
        "bench protected [--rounds N] [--epoch TIME,…] [--benchmark TOOL] [--report FILE]; TIME as in hv, TOOL of the "
        + "kit's tools";

    /// <summary>How often everything runs.</summary>
    public int Rounds { get; private init; } = 3;

    /// <summary>Epoch lengths, as hv reads them.</summary>
    public IReadOnlyList<string> Epochs { get; private init; } = ["50ms"];

    /// <summary>The benchmark, in the kit's words.</summary>
    public KitItem Benchmark { get; private init; } = Tool("gcc");

    /// <summary>File of the report; null for docs/performance.md.</summary>
    public string? Report { get; private init; }

    /// <summary>Reads the words.</summary>
    /// <exception cref="FormatException">They are wrong; the message says which and what is allowed.</exception>
    public static ProtectionOptions Parse(ReadOnlySpan<string> words)
    {
        var options = new ProtectionOptions();
        foreach ((string name, string value) in OptionWords.Pairs(words, Usage))
        {
            options = name switch
            {
                "--rounds" => options with { Rounds = OptionWords.Rounds(name, value, min: 1) },
                "--epoch" => options with { Epochs = ParseEpochs(value) },
                "--benchmark" => options with { Benchmark = Tool(value) },
                "--report" => options with { Report = value },
                _ => throw new FormatException($"unknown {name}; usage: {Usage}"),
            };
        }

        return options;
    }

    private static string[] ParseEpochs(string value)
    {
        string[] epochs = value.Split(',');
        return epochs.FirstOrDefault(epoch => !Duration().IsMatch(epoch)) is { } wrong
            ? throw new FormatException($"--epoch {wrong}: allowed are times as 50ms or 1s, with commas between")
            : epochs;
    }

    private static KitItem Tool(string word) => KitSelection.Parse($"one:{word}", []).Items[0];

    [GeneratedRegex("^[0-9]+(us|ms|s)$")]
    private static partial Regex Duration();
}
