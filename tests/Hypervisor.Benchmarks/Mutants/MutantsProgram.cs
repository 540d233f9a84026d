using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;

namespace Hypervisor.Benchmarks.Mutants;

/// <summary>`mutants`: breaks the product, rule by rule, and looks whether a test fails.</summary>
internal static class MutantsProgram
{
    private const string Usage = "--rule KEY for the mutants of one rule, which are shown and not published";

    /// <summary>The list, from the root of the tree.</summary>
    public const string List = "tests/Hypervisor.Benchmarks/Mutants/mutants.txt";

    /// <summary>`mutants ROOT [OPTIONS]`: ROOT is the checkout.</summary>
    public static int Run(ReadOnlySpan<string> words)
        => Measurement.Run("mutants", "ROOT", Usage, words, static (paths, optionWords) =>
        {
            string? key = null;
            foreach ((string name, string value) in OptionWords.Pairs(optionWords, Usage))
            {
                key = name == "--rule" ? value : throw new FormatException($"{name} is unknown; allowed: {Usage}");
            }

            return BreakAll(paths[0], key);
        });

    private static int BreakAll(string root, string? key)
    {
        IReadOnlyList<Mutant> mutants = Mutant.Parse(File.ReadAllText(Path.Combine(root, List)));
        mutants = [.. mutants.Where(mutant => key is null || mutant.Key == key)];
        if (mutants.Count == 0)
        {
            throw new FormatException($"--rule {key}: {List} has no mutant of that key");
        }

        MutantTree tree = MutantTree.Make(root, Path.Combine(root, "out", "mutants"));
        if (tree.Failures(mutants.SelectMany(mutant => mutant.Tests).Distinct()) is { Count: > 0 } broken)
        {
            throw new InvalidOperationException($"with nothing broken there fail: {string.Join(", ", broken)}");
        }

        List<(Mutant Mutant, IReadOnlyList<string> Failures)> results = [];
        foreach (Mutant mutant in mutants)
        {
            IReadOnlyList<string> failures = tree.Failures(mutant);
            results.Add((mutant, failures));
            string outcome = failures.Count == 0 ? "LIVES" : string.Join(", ", failures);
            Console.Error.WriteLine($"{mutant.Key} {mutant.Title}: {outcome}");
        }

        if (key is null)
        {
            PerformancePage.Put(Path.Combine(root, "docs", "protection.md"), Report(tree.Commit, results));
        }

        int alive = results.Count(result => result.Failures.Count == 0);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"{results.Count} mutants, {alive} of them seen by no test"));
        return alive == 0 ? 0 : 1;
    }

    private static string Report(string commit, List<(Mutant Mutant, IReadOnlyList<string> Failures)> results)
    {
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"""
            ## Rules, broken on purpose

            Made by `./run.sh mutants` from [a list](../{List}): each change was made by itself, and the tests
            of its rule were run. {DateTime.UtcNow:yyyy-MM-dd HH:mm} UTC, commit {commit[..12]}.

            | rule | what was broken | what failed |
            |---|---|---|
            """);
        foreach ((Mutant mutant, IReadOnlyList<string> failures) in results)
        {
            string seen = failures.Count == 0 ? "**NOTHING**" : string.Join("<br>", failures.Select(Shown));
            text.AppendLine(CultureInfo.InvariantCulture, $"| {mutant.Key} | {mutant.Title} | {seen} |");
        }

        return text.ToString();
    }

    // As in the table of rules: the class, then the sentence.
    private static string Shown(string test)
    {
        string[] parts = test.Split('.');
        string sentence = parts[^1].Replace('_', ' ');
        return parts.Length == 2 ? $"`{parts[0]}`: {sentence}" : test;
    }
}
