using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;

namespace Hypervisor.Tests;

/// <summary>Properties of source text that the compiler does not check (style guide, rules 3, 8, 20 and 62).</summary>
internal static partial class TidyRules
{
    /// <summary>Longest line.</summary>
    public const int LineLengthMax = 120;

    /// <summary>Longest file.</summary>
    public const int FileLinesMax = 400;

    /// <summary>Says what is wrong with a C# file; null when it is tidy.</summary>
    /// <param name="path">Path from the root of the tree, with slashes.</param>
    /// <param name="lines">Its lines.</param>
    /// <param name="mayBeLong">Whether it is one of the tables that are longer.</param>
    public static string? FaultOfFile(string path, IReadOnlyList<string> lines, bool mayBeLong = false)
    {
        if (lines.Count > FileLinesMax && !mayBeLong)
        {
            return $"{path} has {lines.Count} lines; allowed: {FileLinesMax}";
        }

        if (VagueName().IsMatch(Path.GetFileNameWithoutExtension(path)))
        {
            return $"{path} has a name that says nothing";
        }

        for (int i = 0; i < lines.Count; i++)
        {
            if (lines[i].Length > LineLengthMax)
            {
                return $"{path}:{i + 1} has {lines[i].Length} columns; allowed: {LineLengthMax}";
            }

            if (UnfinishedWork().IsMatch(lines[i]))
            {
                return $"{path}:{i + 1} leaves work behind";
            }

            if (Region().IsMatch(lines[i]))
            {
                return $"{path}:{i + 1} has a region";
            }
        }

        return FaultOfNamespace(path, lines);
    }

    /// <summary>Relative links of a Markdown text, without their fragments; links to the web are left out.</summary>
    public static IEnumerable<string> LinksOf(string markdown)
        => Link().Matches(CodeBlock().Replace(markdown, ""))
            .Select(match => match.Groups[1].Value.Split('#')[0])
            .Where(link => link.Length > 0 && !link.Contains("://", StringComparison.Ordinal));

    /// <summary>The namespace that a file must declare: the project's, then one part per folder.</summary>
    public static string NamespaceOf(string path)
    {
        string[] parts = path.Split('/')[..^1];
        (string project, int depth) = parts[0] switch
        {
            "src" or "tests" => (parts[1], 2),
            "firmware" => ("Hypervisor.Firmware", 1),
            "guest" => ("Hypervisor.Guest", 1),
            _ => ("Hypervisor", 1),
        };
        return string.Join('.', (string[])[project, .. parts[depth..]]);
    }

    private static string? FaultOfNamespace(string path, IReadOnlyList<string> lines)
    {
        string? declared = lines.FirstOrDefault(line => line.StartsWith("namespace ", StringComparison.Ordinal));
        string expected = NamespaceOf(path);
        return declared is null || declared == $"namespace {expected};"
            ? null
            : $"{path} declares '{declared}'; allowed: {expected}";
    }

    [GeneratedRegex("(Manager|Helpers?|Utils?|Utilities|Misc|Common)$")]
    private static partial Regex VagueName();

    [GeneratedRegex("\\b(TO" + "DO|FIX" + "ME|HA" + "CK|XX" + "X)\\b")]
    private static partial Regex UnfinishedWork();

    [GeneratedRegex("^\\s*#(end)?region")]
    private static partial Regex Region();

    [GeneratedRegex(@"\]\(([^)\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex("```.*?```", RegexOptions.Singleline)]
    private static partial Regex CodeBlock();
}
