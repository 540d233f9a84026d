using System;
using System.Collections.Generic;
using System.Linq;

namespace Hypervisor.Benchmarks.Growth;

/// <summary>The words of `bench growth` after those that run.sh adds.</summary>
internal sealed record GrowthOptions
{
    /// <summary>One line for the user.</summary>
    public const string Usage =
        "bench growth [--epochs N] [--pages N,…] [--memory MEBIBYTES,…] [--report FILE]";

    private const int EpochsMax = 10_000, PagesMax = 100_000, MebibytesMin = 64, MebibytesMax = 65_536;

    /// <summary>How many epochs each row has.</summary>
    public int Epochs { get; private init; } = 300;

    /// <summary>Dirty pages an epoch.</summary>
    public IReadOnlyList<int> Pages { get; private init; } = [1, 10, 100, 1_000, 10_000, 50_000];

    /// <summary>RAM of the guest, MiB.</summary>
    public IReadOnlyList<int> Mebibytes { get; private init; } = [256, 1024, 2048, 4096, 8192];

    /// <summary>File of the report; null for docs/protection.md.</summary>
    public string? Report { get; private init; }

    /// <summary>Reads the words.</summary>
    /// <exception cref="FormatException">They are wrong; the message says which and what is allowed.</exception>
    public static GrowthOptions Parse(ReadOnlySpan<string> words)
    {
        var options = new GrowthOptions();
        foreach ((string name, string value) in OptionWords.Pairs(words, Usage))
        {
            options = name switch
            {
                "--epochs" => options with { Epochs = (int)OptionWords.Number(name, value, 2, EpochsMax) },
                "--pages" => options with { Pages = Numbers(name, value, 1, PagesMax) },
                "--memory" => options with { Mebibytes = Numbers(name, value, MebibytesMin, MebibytesMax) },
                "--report" => options with { Report = value },
                _ => throw new FormatException($"unknown {name}; usage: {Usage}"),
            };
        }

        return options;
    }

    private static int[] Numbers(string name, string value, int min, int max)
        => [.. value.Split(',').Select(text => (int)OptionWords.Number(name, text, min, max))];
}
