using System;
using System.IO;
using System.Linq;

namespace Hypervisor.Benchmarks;

/// <summary>docs/performance.md: one section per measurement, each of which replaces only its own.</summary>
internal static class PerformancePage
{
    private const string Title = "# Speed, measured";
    private const string SectionMark = "## ";

    /// <summary>Puts a section into a file; one of the same heading is replaced where it stands.</summary>
    /// <param name="file">The page; made when it is not there.</param>
    /// <param name="section">From its heading, `## NAME`, on; deeper headings only inside.</param>
    public static void Put(string file, string section)
        => File.WriteAllText(file, Merge(File.Exists(file) ? File.ReadAllText(file) : Title, section));

    /// <summary>The page with the section in it.</summary>
    internal static string Merge(string page, string section)
    {
        // What the first part holds before the first section stays as it is.
        string[] parts = page.TrimEnd().Split('\n' + SectionMark);
        string added = section.Trim()[SectionMark.Length..];
        int place = Array.FindIndex(parts, 1, part => HeadingOf(part) == HeadingOf(added));
        string[] merged = place < 0
            ? [.. parts, added]
            : [.. parts[..place], added, .. parts[(place + 1)..]];
        return string.Join("\n\n" + SectionMark, merged.Select(part => part.Trim())) + '\n';
    }

    private static string HeadingOf(string part) => part.Split('\n', 2)[0].Trim();
}
