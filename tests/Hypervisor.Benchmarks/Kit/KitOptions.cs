using System;
using System.Collections.Generic;
using System.Linq;

namespace Hypervisor.Benchmarks.Kit;

/// <summary>The words of `bench kit` after those that run.sh adds.</summary>
internal sealed record KitOptions
{
    /// <summary>One line for the user.</summary>
    public const string Usage = "bench kit [-k WHAT,…] [--rounds N] [--targets native,pc,q35,hv] [--engine NAME] "
        + "[--scale S] [--timeout SECONDS] [--results FOLDER] [--report FILE]";

    private const string Everything = "all";
    private static readonly string[] s_targets =
        [KitLabels.Native, KitLabels.Tcg, KitLabels.TcgQ35, KitLabels.Ours];

    /// <summary>What of the kit runs, in the kit's words.</summary>
    public string What { get; private init; } = Everything;

    /// <summary>How often everything runs; 0 makes the report from results that are there.</summary>
    public int Rounds { get; private init; } = 3;

    /// <summary>What is measured; q35 only boots.</summary>
    public IReadOnlyList<string> Targets { get; private init; } = s_targets;

    /// <summary>What executes hv's guest; null for its default.</summary>
    public string? Engine { get; private init; }

    /// <summary>Share of the usual work of the kit's own benchmarks; null for what the words say.</summary>
    public double? Scale { get; private init; }

    /// <summary>How long one benchmark may take, in seconds.</summary>
    public int TimeoutSeconds { get; private init; } = 300;

    /// <summary>Folder that results are added to; null for a new one.</summary>
    public string? Results { get; private init; }

    /// <summary>File of the report; null for docs/performance.md after a run of everything.</summary>
    public string? Report { get; private init; }

    /// <summary>Whether the published report is to be written.</summary>
    public bool IsWhole => What == Everything && Scale is null && Rounds > 0 && Targets.Count == s_targets.Length;

    /// <summary>Reads the words.</summary>
    /// <exception cref="FormatException">They are wrong; the message says which and what is allowed.</exception>
    public static KitOptions Parse(ReadOnlySpan<string> words)
    {
        var options = new KitOptions();
        foreach ((string name, string value) in OptionWords.Pairs(words, Usage))
        {
            options = name switch
            {
                "-k" => options with { What = value },
                "--rounds" => options with { Rounds = OptionWords.Rounds(name, value, min: 0) },
                "--targets" => options with { Targets = ParseTargets(value) },
                "--engine" => options with { Engine = value },
                "--scale" => options with { Scale = OptionWords.Number(name, value, 0.0001, 1000) },
                "--timeout" => options with { TimeoutSeconds = (int)OptionWords.Number(name, value, 1, 86400) },
                "--results" => options with { Results = value },
                "--report" => options with { Report = value },
                _ => throw new FormatException($"unknown {name}; usage: {Usage}"),
            };
        }

        return options;
    }

    private static string[] ParseTargets(string value)
    {
        string[] targets = value.Split(',');
        return targets.Except(s_targets).FirstOrDefault() is { } wrong
            ? throw new FormatException($"--targets {wrong}: allowed are {string.Join(", ", s_targets)}")
            : targets;
    }
}
