using System;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Standby;

/// <summary>Settings of a standby.</summary>
public sealed record StandbyOptions
{
    /// <summary>Who this side is at the witness.</summary>
    public required Guid Node { get; init; }

    /// <summary>
    /// What it can hold. An empty VM or pair UUID, an empty model or 0 bytes of RAM takes the primary's.
    /// </summary>
    public required MachineIdentity Machine { get; init; }

    /// <summary>
    /// Silence of the primary after which this side tries to take over; longer than the primary's lease.
    /// </summary>
    public long TakeoverNanos { get; init; } = 1_000_000_000;

    /// <summary>Silence or lack of progress during pairing and full copy after which the attempt ends.</summary>
    public long ProgressNanos { get; init; } = 2_000_000_000;

    /// <summary>Time between two attempts at a witness that does not answer.</summary>
    public long WitnessRetryNanos { get; init; } = 200_000_000;

    /// <summary>Most payload bytes of epochs that are not applied yet.</summary>
    public long StagedBytesMax { get; init; } = 1L << 30;

    /// <summary>
    /// Most committed epochs that wait to be applied; then acknowledgements wait, and so the primary.
    /// </summary>
    public int UnappliedEpochsMax { get; init; } = 8;

    /// <summary>Whether an epoch with a flush is acknowledged only when durable (rule 19).</summary>
    public bool IsAckDurable { get; init; } = true;

    /// <summary>How it can take what is compressed.</summary>
    public Compressions Compressions { get; init; } = Compressions.None;

    /// <summary>What to do without a witness.</summary>
    public WitnessPolicy OnWitnessLost { get; init; } = WitnessPolicy.Wait;

    /// <summary>What the rim knows to be weak.</summary>
    public PairTaints Taints { get; init; }
}
