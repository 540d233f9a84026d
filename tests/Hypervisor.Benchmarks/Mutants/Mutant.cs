using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;

namespace Hypervisor.Benchmarks.Mutants;

/// <summary>One place where the product is broken on purpose, and the tests that are to see it.</summary>
/// <param name="Key">Number of the rule that it breaks, or one word for what else is held.</param>
/// <param name="Title">What is wrong then.</param>
/// <param name="File">Source file from the root of the tree, with slashes.</param>
/// <param name="Before">Text that stands in it once.</param>
/// <param name="After">What takes its place.</param>
/// <param name="Tests">Names of tests as the test program's `-method` takes them; one that fails is enough.</param>
internal sealed record Mutant(
    string Key, string Title, string File, string Before, string After, IReadOnlyList<string> Tests)
{
    private const string Marks = "-+?";

    /// <summary>Mutants of a list; how it is written says its head.</summary>
    /// <exception cref="FormatException">A line of it has no meaning where it stands.</exception>
    public static IReadOnlyList<Mutant> Parse(string text)
    {
        List<Mutant> mutants = [];
        foreach (string block in text.ReplaceLineEndings("\n").Split("\n\n", StringSplitOptions.RemoveEmptyEntries))
        {
            string[] lines = [.. block.Split('\n').Where(line => line.Length > 0 && line[0] != '#')];
            if (lines.Length > 0)
            {
                mutants.Add(Parse(lines));
            }
        }

        return mutants;
    }

    /// <summary>A file's text with the mutant in it; null when its place is not there, or there twice.</summary>
    public string? Apply(string source)
    {
        int place = source.IndexOf(Before, StringComparison.Ordinal);
        return place >= 0 && source.IndexOf(Before, place + 1, StringComparison.Ordinal) < 0
            ? source[..place] + After + source[(place + Before.Length)..]
            : null;
    }

    private static Mutant Parse(string[] lines)
    {
        string[] head = lines[0].Split(' ', 2);
        if (lines.Length < 3 || head.Length < 2)
        {
            throw new FormatException($"mutant '{lines[0]}': allowed are a title, a file, and lines with -, + and ?");
        }

        if (Array.Find(lines[2..], line => line.Length < 2 || !Marks.Contains(line[0]) || line[1] != ' ') is { } odd)
        {
            throw new FormatException($"mutant '{lines[0]}': '{odd}' must begin with '- ', '+ ' or '? '");
        }

        string[] Marked(char mark) => [.. lines[2..].Where(line => line[0] == mark).Select(line => line[2..])];
        string[] tests = Marked('?');
        bool isRule = int.TryParse(head[0], NumberStyles.None, CultureInfo.InvariantCulture, out int rule);
        if (tests.Length == 0 && !isRule)
        {
            throw new FormatException($"mutant '{lines[0]}' breaks no rule by its number, so it must name tests");
        }

        return new Mutant(
            head[0],
            head[1],
            lines[1],
            string.Join('\n', Marked('-')),
            string.Join('\n', Marked('+')),
            tests.Length > 0 ? tests : [string.Create(CultureInfo.InvariantCulture, $"*.Rule_{rule:00}_*")]);
    }
}
