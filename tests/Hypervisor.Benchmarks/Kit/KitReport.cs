using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;

namespace Hypervisor.Benchmarks.Kit;

/// <summary>The tables of one session: native, QEMU TCG and hv, their ratios, and what went wrong.</summary>
/// <param name="runs">Everything that ran.</param>
/// <param name="selection">What was to run.</param>
internal sealed class KitReport(IReadOnlyList<KitRun> runs, KitSelection selection)
{
    private const string Native = "native", Tcg = "pc", Ours = "hv";
    private static readonly string[] s_labels = [Native, Tcg, Ours];

    // Waiting, rates by the guest's clock, and traps; none of them says how fast the guest computes.
    private static readonly string[] s_notComputing = ["blk_", "fio_", "speed_", "par", "sleep1ms", "clock", "cpuid"];

    private readonly IReadOnlyList<string> _present = [.. s_labels.Where(label => runs.Any(run => run.Label == label))];

    /// <summary>What went wrong, a sentence each; the console's tail follows where there is one.</summary>
    public IReadOnlyList<string> Errors { get; } = [.. FindErrors(runs, selection)];

    /// <summary>Writes all of it as Markdown.</summary>
    public string Write()
    {
        var text = new StringBuilder();
        WriteErrors(text);
        WriteSummary(text);
        if (selection.Boots)
        {
            WriteBoots(text);
        }

        if (selection.Items.Count > 0)
        {
            WriteTable(text, "Benchmarks", [.. selection.Items.SelectMany(item => item.Rows)], label => label);
        }

        if (selection.Pairs)
        {
            WriteTable(text, "Two vCPUs: one and two copies at once", KitSelection.PairRows, PairLabel);
        }

        return text.ToString();
    }

    /// <summary>Whether a benchmark counts in the geometric means.</summary>
    public static bool Computes(string row) => !s_notComputing.Any(part => row.StartsWith(part, StringComparison.Ordinal));

    private static string PairLabel(string label) => label == Native ? Native : label + "-par";

    private void WriteErrors(StringBuilder text)
    {
        if (Errors.Count == 0)
        {
            _ = text.Append("Every benchmark ended well, with the checksum of the bare host.\n\n");
            return;
        }

        _ = text.Append("## Errors\n\n");
        foreach (string error in Errors)
        {
            _ = text.Append("- ").Append(error).Append('\n');
        }

        foreach (KitRun run in runs.Where(run => !run.IsDone))
        {
            _ = text.Append(CultureInfo.InvariantCulture, $"\n{run.Label} ended early ({run.Ending}); its last lines:\n\n```text\n")
                .AppendJoin('\n', run.Tail).Append("\n```\n");
        }

        _ = text.Append('\n');
    }

    private void WriteSummary(StringBuilder text)
    {
        string[] rows = [.. selection.Items.SelectMany(item => item.Rows).Where(Computes)];
        _ = text.Append("## Summary\n\n| | slowdown against native | by processor time | benchmarks | rounds | foreign load |\n"
            + "|---|---|---|---|---|---|\n");
        foreach (string label in _present.Where(label => label != Native))
        {
            double[] ratios = Ratios(rows, label, Native, row => row.Seconds);
            double[] ratiosByCpu = Ratios(rows, label, Native, row => row.CpuSeconds);
            KitRow[] all = [.. runs.Where(run => run.Label == label).SelectMany(run => run.Rows)];
            _ = text.Append(CultureInfo.InvariantCulture, $"| {NameOf(label)} | {Mean(ratios)} | {Mean(ratiosByCpu)} ")
                .Append(CultureInfo.InvariantCulture, $"| {ratios.Length} | {RoundsOf(label)} | {Median(all.Select(row => row.Foreign)):0.0} |\n");
        }

        double[] gains = Ratios(rows, Tcg, Ours, row => row.Seconds);
        string scale = selection.Scale.ToString(CultureInfo.InvariantCulture);
        _ = text.Append("\nMeans are geometric, over the benchmarks that compute; times are medians by the host's clock. "
            + $"Work of the kit's own benchmarks: {scale} of the usual. Foreign load is the median number of processors "
            + "that other programs kept busy.\n");
        if (gains.Length > 0)
        {
            string[] slower =
            [
                .. selection.Items.SelectMany(item => item.Rows)
                    .Select(row => (Row: row, Ratio: Ratio(row, Ours, Tcg, found => found.Seconds)))
                    .Where(pair => pair.Ratio > 1).OrderByDescending(pair => pair.Ratio)
                    .Select(pair => string.Create(CultureInfo.InvariantCulture, $"{pair.Row} ({pair.Ratio:0.0})")),
            ];
            _ = text.Append(CultureInfo.InvariantCulture, $"\nhv is {Mean(gains)} times as fast as TCG over {gains.Length} benchmarks. ")
                .Append(CultureInfo.InvariantCulture, $"Slower than TCG ({slower.Length}): ")
                .AppendJoin(", ", slower is [] ? ["none"] : slower).Append(".\n");
        }

        _ = text.Append('\n');
    }

    private void WriteBoots(StringBuilder text)
    {
        _ = text.Append("## Boot\n\n| | process start to BOOTED, s | runs |\n|---|---|---|\n");
        foreach ((string label, string name) in new[] { ("pc-boot", "TCG pc"), ("q35-boot", "TCG q35"), ("hv-boot", "hv") })
        {
            double[] boots = [.. runs.Where(run => run.Label == label && run.BootSeconds is not null).Select(run => run.BootSeconds!.Value)];
            _ = text.Append(CultureInfo.InvariantCulture, $"| {name} | {Number(Median(boots))} | {boots.Length} |\n");
        }

        _ = text.Append('\n');
    }

    private void WriteTable(StringBuilder text, string title, IReadOnlyList<string> rows, Func<string, string> labelOf)
    {
        _ = text.Append(CultureInfo.InvariantCulture, $"## {title}\n\n| benchmark | native, s | TCG pc, s | hv, s | hv / native | TCG / hv |\n")
            .Append("|---|---|---|---|---|---|\n");
        foreach (string row in rows)
        {
            string[] cells =
            [
                row, .. s_labels.Select(label => Cell(row, labelOf(label))),
                Number(Ratio(row, labelOf(Ours), Native, found => found.Seconds)),
                Number(Ratio(row, labelOf(Tcg), labelOf(Ours), found => found.Seconds)),
            ];
            _ = text.Append("| ").AppendJoin(" | ", cells).Append(" |\n");
        }

        _ = text.Append('\n');
    }

    private string Cell(string row, string label)
        => Errors.Any(error => error.StartsWith($"{label} {row}:", StringComparison.Ordinal))
            ? "ERROR"
            : Number(MedianOf(row, label, found => found.Seconds));

    private double[] Ratios(IEnumerable<string> rows, string over, string under, Func<KitRow, double> figure)
        => [.. rows.Select(row => Ratio(row, over, under, figure)).Where(ratio => ratio > 0 && double.IsFinite(ratio))];

    private double Ratio(string row, string over, string under, Func<KitRow, double> figure)
        => MedianOf(row, over, figure) / MedianOf(row, under, figure);

    /// <remarks>A benchmark that went wrong has no time: it did not do the work.</remarks>
    private double MedianOf(string row, string label, Func<KitRow, double> figure)
        => Errors.Any(error => error.StartsWith($"{label} {row}:", StringComparison.Ordinal))
            ? double.NaN
            : Median(RowsOf(runs, row, label).Select(figure));

    private int RoundsOf(string label) => runs.Count(run => run.Label == label && run.IsDone);

    private static IEnumerable<string> FindErrors(IReadOnlyList<KitRun> runs, KitSelection selection)
    {
        string[] items = [.. selection.Items.SelectMany(item => item.Rows)];
        foreach (string label in runs.Select(run => run.Label).Distinct())
        {
            bool isPair = label.EndsWith("-par", StringComparison.Ordinal);
            string[] rows = isPair ? [.. KitSelection.PairRows]
                : label.EndsWith("-boot", StringComparison.Ordinal) ? []
                : label == Native && selection.Pairs ? [.. items, .. KitSelection.PairRows]
                : items;
            foreach (string row in rows)
            {
                if (FaultOf(runs, row, label) is { } fault)
                {
                    yield return $"{label} {row}: {fault}";
                }
            }

            foreach (KitRun run in runs.Where(run => run.Label == label && run.BootSeconds is null))
            {
                yield return $"{label}: never booted ({run.Ending})";
            }
        }
    }

    private static string? FaultOf(IReadOnlyList<KitRun> runs, string row, string label)
    {
        KitRun[] ours = [.. runs.Where(run => run.Label == label)];
        KitRow[] found = [.. RowsOf(runs, row, label)];
        if (ours.FirstOrDefault(run => run.Unfinished.Contains(row)) is { } broken)
        {
            return $"did not end ({broken.Ending})";
        }

        if (ours.SelectMany(run => run.Complaints).FirstOrDefault(text => text.Split(' ')[0] == row) is { } complaint)
        {
            return $"failed ({complaint})";
        }

        if (found is [])
        {
            return "no result";
        }

        string[] right = [.. RowsOf(runs, row, Native).Select(native => native.Checksum).Distinct()];
        string? wrong = found.Select(other => other.Checksum).FirstOrDefault(sum => right.Length > 0 && !right.Contains(sum));
        return wrong is null && right.Length < 2 ? null : $"checksum {wrong ?? string.Join(" or ", right)}, not native's";
    }

    private static IEnumerable<KitRow> RowsOf(IReadOnlyList<KitRun> runs, string row, string label)
        => runs.Where(run => run.Label == label).SelectMany(run => run.Rows).Where(found => found.Name == row);

    private static string NameOf(string label) => label == Tcg ? "TCG pc" : label;

    private static string Mean(double[] ratios) => ratios.Length == 0
        ? "–"
        : Math.Exp(ratios.Average(Math.Log)).ToString("0.00", CultureInfo.InvariantCulture);

    private static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted.Length == 0 ? double.NaN : (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    private static string Number(double value) => value switch
    {
        double.NaN => "–",
        >= 100 => value.ToString("0", CultureInfo.InvariantCulture),
        >= 10 => value.ToString("0.0", CultureInfo.InvariantCulture),
        _ => value.ToString("0.000", CultureInfo.InvariantCulture),
    };
}
