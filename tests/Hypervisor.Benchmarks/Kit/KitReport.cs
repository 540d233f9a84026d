using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;
using static Hypervisor.Benchmarks.Figures;

namespace Hypervisor.Benchmarks.Kit;

/// <summary>The tables of one session: native, QEMU TCG and hv, their ratios, and what went wrong.</summary>
/// <param name="runs">Everything that ran.</param>
/// <param name="selection">What was to run.</param>
internal sealed class KitReport(IReadOnlyList<KitRun> runs, KitSelection selection)
{
    private static readonly string[] s_labels = [KitLabels.Native, KitLabels.Tcg, KitLabels.Ours];

    // Waiting, rates by the guest's clock, and traps: none of them says how fast the guest computes.
    private static readonly string[] s_notComputing = ["blk_", "fio_", "speed_", "par", "sleep1ms", "clock", "cpuid"];

    private readonly string[] _rows = [.. selection.Items.SelectMany(item => item.Rows)];

    /// <summary>What went wrong.</summary>
    public IReadOnlyList<KitFault> Faults { get; } = KitFault.FindAll(runs, selection);

    /// <summary>Whether a benchmark counts in the geometric means.</summary>
    public static bool Computes(string row)
        => !s_notComputing.Any(part => row.StartsWith(part, StringComparison.Ordinal));

    /// <summary>Writes all of it as Markdown.</summary>
    public string Write()
    {
        var text = new StringBuilder();
        WriteFaults(text);
        if (_rows.Length > 0)
        {
            WriteSummary(text);
        }

        if (selection.Boots)
        {
            WriteBoots(text);
        }

        if (_rows.Length > 0)
        {
            WriteTable(text, "Benchmarks", _rows, label => label);
        }

        if (selection.Pairs)
        {
            WriteTable(
                text, "Two vCPUs: one copy of a benchmark, and two at once", KitSelection.PairRows,
                label => label == KitLabels.Native ? label : label + KitLabels.Pair);
        }

        return text.ToString().TrimEnd('\n');
    }

    private void WriteFaults(StringBuilder text)
    {
        if (Faults.Count == 0)
        {
            Add(text, $"Every benchmark ended well, with the checksum of the bare host.\n\n");
            return;
        }

        Add(text, $"### Errors\n\n");
        foreach (KitFault fault in Faults)
        {
            Add(text, $"- {fault.Label} {fault.Row}: {fault.Text}\n");
        }

        foreach (KitRun run in runs.Where(run => !run.IsDone))
        {
            Add(text, $"\n{run.Label} ended early ({run.Ending}); its last lines:\n\n```text\n");
            Add(text, $"{string.Join('\n', run.Tail)}\n```\n");
        }

        Add(text, $"\n");
    }

    private void WriteSummary(StringBuilder text)
    {
        string[] rows = [.. _rows.Where(Computes)];
        Add(text, $"### Summary\n\n| | slowdown against native | by processor time | benchmarks | rounds ");
        Add(text, $"| others busy |\n");
        Add(text, $"|---|---|---|---|---|---|\n");
        foreach (string label in s_labels.Skip(1).Where(label => runs.Any(run => run.Label == label)))
        {
            double[] ratios = Ratios(rows, label, KitLabels.Native, row => row.Seconds);
            double[] cpuRatios = Ratios(rows, label, KitLabels.Native, row => row.CpuSeconds);
            KitRun[] ours = [.. runs.Where(run => run.Label == label)];
            double foreign = Median(ours.SelectMany(run => run.Rows).Select(row => row.Foreign));
            Add(text, $"| {NameOf(label)} | {Mean(ratios)} | {Mean(cpuRatios)} | {ratios.Length} ");
            Add(text, $"| {ours.Count(run => run.IsDone)} | {Number(foreign)} |\n");
        }

        Add(text, $"\nMeans are geometric, over the benchmarks that compute (not disk, sleep, clock, CPUID, rates). ");
        Add(text, $"Times are medians by the host's clock; the kit's own benchmarks did ");
        Add(text, $"{selection.Scale} of their usual work. \"Others busy\" is the median number of processors that ");
        int late = runs.SelectMany(run => run.Rows).Count(row => double.IsNaN(row.Seconds));
        Add(text, $"other programs used meanwhile; {late} figures were left out because the host was too busy to ");
        Add(text, $"read the console in time.\n\n");
        double[] gains = Ratios(rows, KitLabels.Tcg, KitLabels.Ours, row => row.Seconds);
        if (gains.Length > 0)
        {
            string[] slower = SlowerThanTcg();
            Add(text, $"hv is {Mean(gains)} times as fast as TCG over {gains.Length} benchmarks. Slower than TCG ");
            Add(text, $"(times): {(slower is [] ? "none" : string.Join(", ", slower))}.\n\n");
        }
    }

    private string[] SlowerThanTcg() =>
    [
        .. _rows.Select(row => (Row: row, Ratio: Ratio(row, KitLabels.Ours, KitLabels.Tcg, found => found.Seconds)))
            .Where(pair => pair.Ratio > 1).OrderByDescending(pair => pair.Ratio)
            .Select(pair => string.Create(CultureInfo.InvariantCulture, $"{pair.Row} {pair.Ratio:0.0}")),
    ];

    private void WriteBoots(StringBuilder text)
    {
        Add(text, $"### Boot\n\n| | process start to BOOTED, s | runs |\n|---|---|---|\n");
        foreach (string label in (string[])[KitLabels.Tcg, KitLabels.TcgQ35, KitLabels.Ours])
        {
            double[] boots =
            [
                .. runs.Where(run => run.Label == label + KitLabels.Boot)
                    .Select(run => run.BootSeconds).OfType<double>(),
            ];
            Add(text, $"| {NameOf(label)} | {Number(Median(boots))} | {boots.Length} |\n");
        }

        Add(text, $"\n");
    }

    private void WriteTable(StringBuilder text, string title, IEnumerable<string> rows, Func<string, string> labelOf)
    {
        Add(text, $"### {title}\n\n| benchmark | native, s | TCG pc, s | hv, s | hv / native | TCG / hv |\n");
        Add(text, $"|---|---|---|---|---|---|\n");
        foreach (string row in rows)
        {
            Add(text, $"| {row} | {string.Join(" | ", s_labels.Select(label => Cell(row, labelOf(label))))} ");
            Add(text, $"| {Number(Ratio(row, labelOf(KitLabels.Ours), KitLabels.Native, found => found.Seconds))} ");
            Add(
                text,
                $"| {Number(Ratio(row, labelOf(KitLabels.Tcg), labelOf(KitLabels.Ours), found => found.Seconds))} |\n");
        }

        Add(text, $"\n");
    }

    private string Cell(string row, string label)
        => IsWrong(row, label) ? "ERROR" : Number(MedianOf(row, label, found => found.Seconds));

    private double[] Ratios(IEnumerable<string> rows, string over, string under, Func<KitRow, double> figure)
        => [.. rows.Select(row => Ratio(row, over, under, figure)).Where(ratio => ratio > 0 && double.IsFinite(ratio))];

    private double Ratio(string row, string over, string under, Func<KitRow, double> figure)
        => MedianOf(row, over, figure) / MedianOf(row, under, figure);

    /// <remarks>A benchmark that went wrong has no time: it did not do the work.</remarks>
    private double MedianOf(string row, string label, Func<KitRow, double> figure) => IsWrong(row, label)
        ? double.NaN
        : Median(runs.Where(run => run.Label == label).SelectMany(run => run.Rows)
            .Where(found => found.Name == row).Select(figure));

    private bool IsWrong(string row, string label) => Faults.Any(fault => fault.Label == label && fault.Row == row);

    private static string NameOf(string label) => label == KitLabels.Ours ? label : "TCG " + label;

    private static string Mean(double[] ratios) => ratios.Length == 0
        ? "–"
        : Math.Exp(ratios.Average(Math.Log)).ToString("0.00", CultureInfo.InvariantCulture);

    private static void Add(StringBuilder text, FormattableString line)
        => text.Append(line.ToString(CultureInfo.InvariantCulture));
}
