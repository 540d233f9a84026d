namespace Hypervisor.Replication.Epochs;

/// <summary>Between which bounds, and for which budgets, the pacer chooses the length of an epoch.</summary>
public sealed record PaceOptions
{
    /// <summary>Never shorter, except when the standby is full.</summary>
    public long ShortestNanos { get; init; } = 1_000_000;

    /// <summary>Never longer, whatever the budgets say, as long as a cut can be made at all.</summary>
    public long LongestNanos { get; init; } = 200_000_000;

    /// <summary>Longest time from the first held byte to the cut, while pauses keep to their budget.</summary>
    public long MaxOutputLatencyNanos { get; init; } = 5_000_000;

    /// <summary>What 99 of 100 recent pauses should not exceed; <see cref="EpochPacer"/> says what it holds.</summary>
    public long MaxPauseNanos { get; init; } = 5_000_000;

    /// <summary>Most bytes that an epoch should send; 0 or more than that: a quarter of the standby's room.</summary>
    public long MaxStagingBytes { get; init; }

    /// <summary>Checks the settings against each other.</summary>
    /// <returns>Null, or one line that names the setting, its value and what is allowed.</returns>
    public string? FindError()
    {
        if (ShortestNanos <= 0 || LongestNanos < ShortestNanos)
        {
            return $"epochs are {ShortestNanos} to {LongestNanos} ns; "
                + "more than 0 is needed, and the latter not shorter";
        }

        if (MaxOutputLatencyNanos <= 0 || MaxPauseNanos <= 0)
        {
            return $"longest output latency is {MaxOutputLatencyNanos} ns, longest pause {MaxPauseNanos} ns; "
                + "more than 0 is needed";
        }

        return MaxStagingBytes < 0 ? $"most staged bytes are {MaxStagingBytes}, not less than 0 is needed" : null;
    }
}
