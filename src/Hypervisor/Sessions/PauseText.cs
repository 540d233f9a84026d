using System;
using System.Globalization;
using Hypervisor.Replication.Session;

namespace Hypervisor.Sessions;

/// <summary>How long a protected guest stood still for its cuts, as one line for people at the end of a run.</summary>
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

    private static string Millis(long nanos) => (nanos / 1e6).ToString("0.00", CultureInfo.InvariantCulture);
}
