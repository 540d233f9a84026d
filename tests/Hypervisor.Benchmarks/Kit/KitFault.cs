using System;
using System.Collections.Generic;
using System.Linq;

namespace Hypervisor.Benchmarks.Kit;

/// <summary>Something that went wrong in a session.</summary>
/// <param name="Label">What ran.</param>
/// <param name="Row">The benchmark; empty when the guest never booted.</param>
/// <param name="Text">What went wrong.</param>
internal sealed record KitFault(string Label, string Row, string Text)
{
    /// <summary>Holds every run against what was to run and against the bare host's checksums.</summary>
    public static IReadOnlyList<KitFault> FindAll(IReadOnlyList<KitRun> runs, KitSelection selection) =>
    [
        .. runs.Select(run => run.Label).Distinct().SelectMany(label => RowsOf(label, selection)
            .Select(row => (Row: row, Text: FaultOf(runs, row, label)))
            .Where(found => found.Text is not null)
            .Select(found => new KitFault(label, found.Row, found.Text!))),
        .. runs.Where(run => run.BootSeconds is null)
            .Select(run => new KitFault(run.Label, "", $"never booted ({run.Ending})")),
    ];

    private static IEnumerable<string> RowsOf(string label, KitSelection selection)
    {
        IEnumerable<string> items = selection.Items.SelectMany(item => item.Rows);
        return label switch
        {
            KitLabels.Native => selection.Pairs ? items.Concat(KitSelection.PairRows) : items,
            _ when label.EndsWith(KitLabels.Boot, StringComparison.Ordinal) => [],
            _ when label.EndsWith(KitLabels.Pair, StringComparison.Ordinal) => KitSelection.PairRows,
            _ => items,
        };
    }

    private static string? FaultOf(IReadOnlyList<KitRun> runs, string row, string label)
    {
        KitRun[] ours = [.. runs.Where(run => run.Label == label)];
        if (ours.FirstOrDefault(run => run.Unfinished.Contains(row)) is { } broken)
        {
            return $"did not end ({broken.Ending})";
        }

        if (ours.SelectMany(run => run.Complaints).FirstOrDefault(text => text.Split(' ')[0] == row) is { } complaint)
        {
            return $"failed ({complaint})";
        }

        string[] found = Checksums(runs, row, label);
        string[] right = Checksums(runs, row, KitLabels.Native);
        return found is [] ? "no result"
            : right is [] or [_] && found.All(sum => right is [] || sum == right[0]) ? null
            : $"checksum {string.Join(" or ", found)}, native's is {string.Join(" or ", right)}";
    }

    private static string[] Checksums(IReadOnlyList<KitRun> runs, string row, string label) =>
    [
        .. runs.Where(run => run.Label == label).SelectMany(run => run.Rows)
            .Where(found => found.Name == row).Select(found => found.Checksum).Distinct(),
    ];
}
