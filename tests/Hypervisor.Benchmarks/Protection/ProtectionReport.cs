using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;
using static Hypervisor.Benchmarks.Figures;

namespace Hypervisor.Benchmarks.Protection;

/// <summary>The tables of one session: what protection costs, how often it cut, and what went wrong.</summary>
/// <param name="runs">Everything that ran.</param>
internal sealed class ProtectionReport(IReadOnlyList<ProtectionRun> runs)
{
    /// <summary>What went wrong.</summary>
    public IReadOnlyList<string> Faults { get; } =
        [.. runs.Where(run => run.Fault is not null).Select(run => $"{NameOf(run.Epoch)}: {run.Fault}")];

    /// <summary>Writes all of it as Markdown.</summary>
    public string Write()
    {
        var text = new StringBuilder();
        Add(text, $"| | time, s | each | overhead | by the fastest | by processor time | others busy | runs |\n");
        Add(text, $"|---|---|---|---|---|---|---|---|\n");
        string?[] epochs = [.. runs.Select(run => run.Epoch).Distinct()];
        foreach (string? epoch in epochs)
        {
            string each = string.Join(", ", Good(epoch).Select(run => Number(run.Seconds)));
            Add(text, $"| {NameOf(epoch)} | {Number(MedianOf(epoch, run => run.Seconds))} | {each} ");
            Add(text, $"| {Overhead(epoch, (good, figure) => Median(good.Select(figure)), run => run.Seconds)} ");
            Add(text, $"| {Overhead(epoch, Least, run => run.Seconds)} ");
            Add(text, $"| {Overhead(epoch, (good, figure) => Median(good.Select(figure)), run => run.VcpuSeconds)} ");
            Add(text, $"| {Number(MedianOf(epoch, run => run.OthersBusy))} | {Good(epoch).Count()} |\n");
        }

        Add(text, $"\n| | epochs/s | each | bytes sent per epoch | pause p50, ms | p99 | max | full copy, s |\n");
        Add(text, $"|---|---|---|---|---|---|---|---|\n");
        foreach (string epoch in epochs.OfType<string>())
        {
            string each = string.Join(", ", Good(epoch).Select(run => Number(run.EpochsPerSecond)));
            Add(text, $"| {NameOf(epoch)} | {Number(MedianOf(epoch, run => run.EpochsPerSecond))} | {each} ");
            Add(text, $"| {Number(MedianOf(epoch, run => run.BytesPerEpoch))} ");
            Add(text, $"| {Number(MedianOf(epoch, run => run.Pause.Median))} ");
            Add(text, $"| {Number(MedianOf(epoch, run => run.Pause.P99))} ");
            Add(text, $"| {Number(Good(epoch).Select(run => run.Pause.Max).DefaultIfEmpty(double.NaN).Max())} ");
            Add(text, $"| {Number(MedianOf(epoch, run => run.CopySeconds))} |\n");
        }

        Add(text, $"\nMedians, except the longest pause. Time is the host's, from the benchmark's first word to ");
        Add(text, $"its last; processor time that of the vCPU's thread. Epochs are those that the primary reported ");
        Add(text, $"as acknowledged. \"Others busy\" is how many processors other programs used meanwhile.");
        Add(text, $"{(Faults.Count == 0 ? " Every standby ended in step with its primary." : "")}");
        foreach (string fault in Faults)
        {
            Add(text, $"\n- ERROR {fault}");
        }

        return text.ToString();
    }

    private static string NameOf(string? epoch) => epoch is null ? "alone" : $"protected, epochs of {epoch}";

    private static double Least(IEnumerable<ProtectionRun> good, Func<ProtectionRun, double> figure)
        => good.Select(figure).DefaultIfEmpty(double.NaN).Min();

    private double MedianOf(string? epoch, Func<ProtectionRun, double> figure) => Median(Good(epoch).Select(figure));

    private string Overhead(
        string? epoch,
        Func<IEnumerable<ProtectionRun>, Func<ProtectionRun, double>, double> choose,
        Func<ProtectionRun, double> figure)
    {
        double share = (choose(Good(epoch), figure) / choose(Good(null), figure)) - 1;
        return epoch is null || !double.IsFinite(share)
            ? "–"
            : (share * 100).ToString("0.0", CultureInfo.InvariantCulture) + " %";
    }

    /// <remarks>A run in which protection ended early did not pay for all of it, so it does not count.</remarks>
    private IEnumerable<ProtectionRun> Good(string? epoch)
        => runs.Where(run => run.Epoch == epoch && run.Fault is null);

    private static void Add(StringBuilder text, FormattableString line)
        => text.Append(line.ToString(CultureInfo.InvariantCulture));
}
