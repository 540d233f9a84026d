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
    private const string Usage = "--rule KEY for the mutants of one rule alone";
    private const string Heading = "## Rules, broken on purpose";

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
        IReadOnlyList<Mutant> all = Mutant.Parse(File.ReadAllText(Path.Combine(root, List)));
        IReadOnlyList<Mutant> mutants = [.. all.Where(mutant => key is null || mutant.Key == key)];
        if (mutants.Count == 0)
        {
            throw new FormatException($"--rule {key}: {List} has no mutant of that key");
        }

        MutantTree tree = MutantTree.Make(root, Path.Combine(root, "out", "mutants"));
        if (tree.Failures(mutants.SelectMany(mutant => mutant.Tests).Distinct()) is { Count: > 0 } broken)
        {
            throw new InvalidOperationException($"with nothing broken there fail: {string.Join(", ", broken)}");
        }

        string page = Path.Combine(root, "docs", "protection.md");
        int alive = 0, unfit = 0;
        foreach (Mutant mutant in mutants)
        {
            IReadOnlyList<string> failures;
            try
            {
                failures = tree.Failures(mutant);
            }
            catch (InvalidOperationException e)
            {
                Console.Error.WriteLine($"{mutant.Key} {mutant.Title}: {e.Message}");
                unfit++; // the others are told nevertheless
                continue;
            }

            alive += failures.Count == 0 ? 1 : 0;
            string outcome = failures.Count == 0 ? "LIVES" : string.Join(", ", failures);
            Console.Error.WriteLine($"{mutant.Key} {mutant.Title}: {outcome}");
            string row = Row(mutant, failures, tree.Commit);
            PerformancePage.Put(page, Section(all, File.ReadAllLines(page), mutant, row)); // what is cut off stays
        }

        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{mutants.Count} mutants, {alive} of them seen by no test, {unfit} that do not fit the source"));
        return alive + unfit == 0 ? 0 : 1;
    }

    /// <summary>The page's section with another row; those of mutants that are no longer in the list go.</summary>
    internal static string Section(IReadOnlyList<Mutant> all, IReadOnlyList<string> page, Mutant mutant, string row)
    {
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"""
            {Heading}

            Made by `./run.sh mutants` from [a list](../{List}): each change is made by itself, and the tests
            of its rule are run. `--rule N` does those of one rule again; so the commit is each row's own.

            | rule | what was broken | what failed | commit |
            |---|---|---|---|
            """);
        foreach (Mutant other in all)
        {
            string? before = page.FirstOrDefault(line => line.StartsWith(Start(other), StringComparison.Ordinal));
            text.AppendLine(other == mutant ? row : before ?? $"{Start(other)}not run | |");
        }

        return text.ToString();
    }

    private static string Start(Mutant mutant) => $"| {mutant.Key} | {mutant.Title} | ";

    private static string Row(Mutant mutant, IReadOnlyList<string> failures, string commit)
    {
        string seen = failures.Count == 0 ? "**nothing**" : string.Join("<br>", failures.Select(Shown));
        return string.Create(
            CultureInfo.InvariantCulture, $"{Start(mutant)}{seen} | {commit[..10]}, {DateTime.UtcNow:yyyy-MM-dd} |");
    }

    // As in the table of rules: the class, then the sentence.
    private static string Shown(string test)
    {
        string[] parts = test.Split('.');
        string sentence = parts[^1].Replace('_', ' ');
        sentence = sentence.StartsWith("Rule ", StringComparison.Ordinal) ? sentence["Rule NN ".Length..] : sentence;
        return parts.Length == 2 ? $"`{parts[0]}`: {sentence}" : test;
    }
}
