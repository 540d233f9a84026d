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

    /// <summary>Most epochs sent and not yet acknowledged; then the running epoch grows.</summary>
    public int EpochsInFlightMax { get; init; } = 2;

    /// <summary>Time between two heartbeats.</summary>
    public long HeartbeatNanos { get; init; } = 50_000_000;

    /// <summary>How long after a heartbeat that was answered output may leave.</summary>
    public long LeaseNanos { get; init; } = 600_000_000;

    /// <summary>Silence of the standby, or lack of progress of any phase, after which it is lost.</summary>
    public long ProgressNanos { get; init; } = 2_000_000_000;

    /// <summary>Time between two attempts at a witness that does not answer.</summary>
    public long WitnessRetryNanos { get; init; } = 200_000_000;

    /// <summary>What to do without a standby.</summary>
    public StandbyLossPolicy OnStandbyLost { get; init; } = StandbyLossPolicy.Alone;

    /// <summary>What to do without a witness.</summary>
    public WitnessPolicy OnWitnessLost { get; init; } = WitnessPolicy.Wait;

    /// <summary>What the rim knows to be weak.</summary>
    public PairTaints Taints { get; init; }
}
