using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text.RegularExpressions;
using Hypervisor.Benchmarks.Network;

namespace Hypervisor.Benchmarks.Protection;

/// <summary>One run of the benchmark, alone or protected.</summary>
/// <param name="Epoch">Longest epoch, as hv was told; null for a guest without a standby.</param>
/// <param name="Seconds">The benchmark's time by the host's clock.</param>
/// <param name="VcpuSeconds">Processor time of the vCPU's thread meanwhile.</param>
/// <param name="OthersBusy">Processors that programs other than hv used meanwhile, on average.</param>
internal sealed record ProtectionRun(string? Epoch, double Seconds, double VcpuSeconds, double OthersBusy)
{
    private const double MillisPerSecond = 1000, BytesPerMebibyte = 1 << 20;

    /// <summary>Epochs per second that the primary reported as acknowledged during the benchmark; NaN alone.</summary>
    public double EpochsPerSecond { get; private init; } = double.NaN;

    /// <summary>Bytes that the primary sent per epoch during the benchmark; NaN alone.</summary>
    public double BytesPerEpoch { get; private init; } = double.NaN;

    /// <summary>Dirty pages per epoch, over all epochs; NaN alone.</summary>
    public double DirtyPages { get; private init; } = double.NaN;

    /// <summary>Milliseconds that the guest stood still per cut: median, 99 of 100, longest; NaN alone.</summary>
    public (double Median, double P99, double Max) Pause { get; private init; } = (double.NaN, double.NaN, double.NaN);

    /// <summary>From the start of the full copy to protection; NaN alone.</summary>
    public double CopySeconds { get; private init; } = double.NaN;

    /// <summary>What went wrong; null when nothing did. Such a run has no figures that count.</summary>
    public string? Fault { get; init; }

    /// <summary>A run that broke off.</summary>
    public static ProtectionRun Broken(string? epoch, string fault)
        => new(epoch, double.NaN, double.NaN, double.NaN) { Fault = fault };

    /// <summary>Adds what the primary said while the benchmark ran, and whether the pair stayed a pair.</summary>
    /// <param name="lines">The primary's status lines, each with its time in milliseconds.</param>
    /// <param name="startMillis">When the benchmark began.</param>
    /// <param name="endMillis">When it ended.</param>
    public ProtectionRun Read(
        IReadOnlyList<(string Text, double Millis)> lines, double startMillis, double endMillis)
    {
        double CopyMark(string state)
            => lines.Where(line => line.Text == "hv: " + state).Select(line => line.Millis).FirstOrDefault(double.NaN);

        var epochs = lines.Where(line => line.Millis >= startMillis && line.Millis <= endMillis)
            .Select(line => (Found: HvLines.Epoch().Match(line.Text), line.Millis)).Where(line => line.Found.Success)
            .ToArray();
        Match pauses = lines.Select(line => HvLines.Pauses().Match(line.Text)).FirstOrDefault(found => found.Success)
            ?? Match.Empty;
        string? fault = FindFault([.. lines.Select(line => line.Text)]);
        if (fault is not null || epochs.Length < 2 || !pauses.Success)
        {
            return this with { Fault = fault ?? "the primary reported no epochs" };
        }

        double count = Number(epochs[^1].Found, "epoch") - Number(epochs[0].Found, "epoch");
        return this with
        {
            EpochsPerSecond = count / (epochs[^1].Millis - epochs[0].Millis) * MillisPerSecond,
            BytesPerEpoch =
                (Number(epochs[^1].Found, "sent") - Number(epochs[0].Found, "sent")) * BytesPerMebibyte / count,
            DirtyPages = Number(pauses, "pages"),
            Pause = (Number(pauses, "p50"), Number(pauses, "p99"), Number(pauses, "max")),
            CopySeconds = (CopyMark("Protected") - CopyMark("Copying")) / MillisPerSecond,
        };
    }

    /// <summary>
    /// Why the standby did not end in step with the primary; null when it did. Once protected, a primary may only be
    /// ending and ended.
    /// </summary>
    internal static string? FindFault(IReadOnlyList<string> lines)
    {
        string[] states =
        [
            .. lines.Select(line => HvLines.State().Match(line)).Where(found => found.Success)
                .Select(found => found.Groups["state"].Value),
        ];
        int first = Array.IndexOf(states, "Protected");
        return first < 0 ? "the pair was never protected"
            : states[(first + 1)..] is ["Ending", "Ended"] ? null
            : $"protection ended early: {string.Join(", ", states[first..])}";
    }

    private static double Number(Match found, string group)
        => double.Parse(found.Groups[group].Value, CultureInfo.InvariantCulture);
}
