using System;

namespace Hypervisor.Replication.Failover;

/// <summary>How long a primary may let output out after it last proved to be connected (rule 26).</summary>
/// <remarks>
/// It counts from when the primary <b>sent</b> what the standby answered. The standby saw it later, and counts its
/// takeover
/// timeout from then; so with a lease shorter than the timeout, by more than clocks drift, the lease is over first.
/// </remarks>
internal struct Lease
{
    // Clocks of two hosts, while they run, differ in rate by far less than a tenth.
    private const long DriftDivisor = 10;

    private long _untilNanos;

    /// <summary>Longest lease that is safe with a takeover timeout.</summary>
    public static long LongestNanos(long takeoverNanos) => takeoverNanos - (takeoverNanos / DriftDivisor);

    /// <summary>When it is over; 0: there is none.</summary>
    public readonly long UntilNanos => _untilNanos;

    /// <summary>Whether output may leave.</summary>
    public readonly bool IsValid(long nowNanos) => nowNanos < _untilNanos;

    /// <summary>The standby answered what was sent at <paramref name="echoNanos"/>.</summary>
    public void Extend(long echoNanos, long leaseNanos) => _untilNanos = Math.Max(_untilNanos, echoNanos + leaseNanos);

    /// <summary>Ends it at once.</summary>
    public void Void() => _untilNanos = 0;
}
