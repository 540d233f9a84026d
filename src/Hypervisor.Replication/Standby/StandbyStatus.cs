using Hypervisor.Replication.Failover;

namespace Hypervisor.Replication.Standby;

/// <summary>A snapshot of a standby for people.</summary>
/// <param name="State">Where it stands.</param>
/// <param name="Generation">Generation of the primary, or its own once live.</param>
/// <param name="Incarnation">Life of the pair, 0 before the first pairing.</param>
/// <param name="CommittedEpoch">Last epoch that survives the loss of the primary.</param>
/// <param name="AppliedEpoch">Last epoch in RAM and on the disks.</param>
/// <param name="StagedBytes">Payload bytes not yet applied.</param>
/// <param name="BytesReceived">Payload bytes received in this life of the pair.</param>
/// <param name="Taints">What makes the protection weaker.</param>
/// <param name="Reason">Why it is in this state, empty when there is nothing to say.</param>
public readonly record struct StandbyStatus(
    StandbyState State,
    ulong Generation,
    ulong Incarnation,
    ulong CommittedEpoch,
    ulong AppliedEpoch,
    long StagedBytes,
    long BytesReceived,
    PairTaints Taints,
    string Reason)
{
    /// <summary>How a planned switch-over stands.</summary>
    public SwitchOverStatus SwitchOver { get; init; }
}
