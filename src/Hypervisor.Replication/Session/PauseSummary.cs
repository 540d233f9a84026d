namespace Hypervisor.Replication.Session;

/// <summary>How long something took, over all times it happened.</summary>
/// <param name="Count">How often.</param>
/// <param name="MedianNanos">Half were not longer.</param>
/// <param name="P99Nanos">99 of 100 were not longer.</param>
/// <param name="MaxNanos">None was longer.</param>
public readonly record struct PauseSummary(long Count, long MedianNanos, long P99Nanos, long MaxNanos)
{
    /// <summary>All of them together.</summary>
    public long TotalNanos { get; init; }
}
