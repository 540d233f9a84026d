using System;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Epochs;

/// <summary>Settings of a primary.</summary>
public sealed record PrimaryOptions
{
    /// <summary>Who this side is at the witness.</summary>
    public required Guid Node { get; init; }

    /// <summary>What it runs.</summary>
    public required MachineIdentity Machine { get; init; }

    /// <summary>Longest time between two cuts.</summary>
    public long EpochNanos { get; init; } = 50_000_000;

    /// <summary>Shortest epoch: how soon after a cut the next one is made when output waits.</summary>
    public long OutputEpochNanos { get; init; } = 50_000_000;

    /// <summary>
    /// Lets a pacer choose the length, with <see cref="EpochNanos"/> as the usual one and without
    /// <see cref="OutputEpochNanos"/>; null: the two above hold.
    /// </summary>
    public PaceOptions? Pace { get; init; }

    /// <summary>Most epochs sent and not yet acknowledged; then the running epoch grows.</summary>
    public int EpochsInFlightMax { get; init; } = 2;

    /// <summary>Time between two heartbeats.</summary>
    public long HeartbeatNanos { get; init; } = 50_000_000;

    /// <summary>How long after a heartbeat that was answered output may leave.</summary>
    public long LeaseNanos { get; init; } = 600_000_000;

    /// <summary>Silence of the standby, or lack of progress of any phase, after which it is lost.</summary>
    public long ProgressNanos { get; init; } = 2_000_000_000;

    /// <summary>
    /// How long the standby may compare and flush at the end of a full copy, and how long the copy may find nothing to
    /// send.
    /// </summary>
    public long SyncNanos { get; init; } = 120_000_000_000;

    /// <summary>Time between two attempts at a witness that does not answer.</summary>
    public long WitnessRetryNanos { get; init; } = 200_000_000;

    /// <summary>How the link may compress; the standby chooses.</summary>
    public CompressionTerms Compression { get; init; } = CompressionTerms.Off;

    /// <summary>What to do without a standby.</summary>
    public StandbyLossPolicy OnStandbyLost { get; init; } = StandbyLossPolicy.Alone;

    /// <summary>What to do without a witness.</summary>
    public WitnessPolicy OnWitnessLost { get; init; } = WitnessPolicy.Wait;

    /// <summary>What the rim knows to be weak.</summary>
    public PairTaints Taints { get; init; }

    /// <summary>Checks the settings against each other.</summary>
    /// <returns>Null, or one line that names the setting, its value and what is allowed.</returns>
    public string? FindError()
    {
        if (EpochsInFlightMax is < 1 or > EpochPipeline.EpochsInFlightMax)
        {
            return $"epochs in flight is {EpochsInFlightMax}, allowed are 1 to {EpochPipeline.EpochsInFlightMax}";
        }

        if (EpochNanos <= 0 || OutputEpochNanos < 0 || OutputEpochNanos > EpochNanos)
        {
            return $"epoch is {EpochNanos} ns and {OutputEpochNanos} ns with output; "
                + "more than 0 is needed, and the latter not longer";
        }

        if (Pace?.FindError() is { } error)
        {
            return error;
        }

        if (HeartbeatNanos <= 0 || HeartbeatNanos * 2 > LeaseNanos)
        {
            return $"heartbeat is {HeartbeatNanos} ns, at most half of the lease of {LeaseNanos} ns is allowed";
        }

        return ProgressNanos < LeaseNanos
            ? $"progress timeout is {ProgressNanos} ns, at least the lease of {LeaseNanos} ns is needed"
            : null;
    }
}
