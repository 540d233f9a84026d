using System;
using System.Globalization;
using System.Linq;
using Hypervisor.Core.Memory;
using Hypervisor.Replication.Session;

namespace Hypervisor.Sessions;

/// <summary>How long a protected guest stood still for its cuts, for people at the end of a run.</summary>
internal static class PauseText
{
    /// <summary>The line; at least one epoch must have been cut.</summary>
    public static string Describe(in PrimaryStatistics numbers) => string.Create(
        CultureInfo.InvariantCulture,
        $"pauses of {numbers.Epochs} epochs, {numbers.DirtyPages / Math.Max(1, numbers.Epochs)} dirty pages each: "
        + $"p50 {Millis(numbers.Pause.MedianNanos)} · p99 {Millis(numbers.Pause.P99Nanos)} · "
        + $"max {Millis(numbers.Pause.MaxNanos)} ms (p99: stop {Millis(numbers.StopPart.P99Nanos)}, "
        + $"capture {Millis(numbers.CapturePart.P99Nanos)}, rearm {Millis(numbers.RearmPart.P99Nanos)}, "
        + $"resume {Millis(numbers.ResumePart.P99Nanos)})");

    /// <summary>What of the dirty pages had to be sent.</summary>
    public static string DescribeSent(in PrimaryStatistics numbers) => string.Create(
        CultureInfo.InvariantCulture,
        $"sent for them: dirty {Mebibytes(numbers.DirtyPages * PageKernels.PageBytes)} · "
        + $"changed lines {Mebibytes(numbers.DeltaLines * PageKernels.LineBytes)} · "
        + $"encoded {Mebibytes(numbers.DeltaBytes)} · with disks and devices {Mebibytes(numbers.EpochPlainBytes)} · "
        + $"on the wire {Mebibytes(numbers.EpochSentBytes)} MiB: "
        + $"{numbers.DirtyBytesPerSentByte:0.0} dirty bytes for each byte sent");

    /// <summary>The phases of an epoch; a name without numbers never happened.</summary>
    public static string DescribePhases(in PrimaryStatistics numbers)
        => "phases of an epoch, p50/p99/max ms: " + string.Join(" · ", numbers.Phases.Select(Describe));

    /// <summary>A phase with its three times in ms.</summary>
    public static string Describe(PhaseSummary phase)
    {
        PauseSummary times = phase.Times;
        return phase.Name + " " + (times.Count == 0 ? "-"
            : $"{Millis(times.MedianNanos)}/{Millis(times.P99Nanos)}/{Millis(times.MaxNanos)}");
    }

    private static string Mebibytes(long bytes)
        => (bytes / (double)(1 << 20)).ToString("0.0", CultureInfo.InvariantCulture);

    private static string Millis(long nanos) => (nanos / 1e6).ToString("0.00", CultureInfo.InvariantCulture);
}
