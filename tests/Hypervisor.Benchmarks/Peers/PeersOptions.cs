using System;
using System.Collections.Generic;

namespace Hypervisor.Benchmarks.Peers;

/// <summary>The words of `bench peers` after those that run.sh adds.</summary>
internal sealed record PeersOptions
{
    /// <summary>One line for the user.</summary>
    public const string Usage = "bench peers [--seconds N] [--load LOAD,…] [--report FILE]; LOAD: a load of the "
        + "kit that never ends, as tick, dirty:64:50:0 or loop:gcc";

    private const double SecondsMin = 5, SecondsMax = 600;

    /// <summary>How long each load runs under protection, and under COLO.</summary>
    public double Seconds { get; private init; } = 20;

    /// <summary>What the guest does, in the kit's words.</summary>
    public IReadOnlyList<string> Loads { get; private init; } =
        ["tick", "dirty:64:50:0", "dirty:128:200:0", "loop:gcc", "loop:sqlite"];

    /// <summary>File of the report; null for docs/protection.md.</summary>
    public string? Report { get; private init; }

    /// <summary>Reads the words.</summary>
    /// <exception cref="FormatException">They are wrong; the message says which and what is allowed.</exception>
    public static PeersOptions Parse(ReadOnlySpan<string> words)
    {
        var options = new PeersOptions();
        foreach ((string name, string value) in OptionWords.Pairs(words, Usage))
        {
            options = name switch
            {
                "--seconds" => options with { Seconds = OptionWords.Number(name, value, SecondsMin, SecondsMax) },
                "--load" => options with { Loads = value.Split(',') },
                "--report" => options with { Report = value },
                _ => throw new FormatException($"unknown {name}; usage: {Usage}"),
            };
        }

        return options;
    }
}
