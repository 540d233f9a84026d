using Hypervisor.Replication.Failover;

namespace Hypervisor.Replication.Epochs;

/// <summary>A snapshot of a primary for people.</summary>
/// <param name="State">Where it stands.</param>
/// <param name="Generation">Generation it runs.</param>
/// <param name="Incarnation">Life of the pair, 0 before the first pairing.</param>
/// <param name="OpenEpoch">Epoch that the guest is in.</param>
/// <param name="AckedEpoch">Last epoch that survives the loss of this side.</param>
/// <param name="ReleasedEpoch">Last epoch whose output is out.</param>
/// <param name="LagNanos">Age of the oldest cut that is not acknowledged, 0 when there is none.</param>
/// <param name="HasLease">Whether output may leave.</param>
/// <param name="Taints">What makes the protection weaker.</param>
/// <param name="Reason">Why it is in this state, empty when there is nothing to say.</param>
public readonly record struct PrimaryStatus(
    PrimaryState State,
    ulong Generation,
    ulong Incarnation,
    ulong OpenEpoch,
    ulong AckedEpoch,
    ulong ReleasedEpoch,
    long LagNanos,
    bool HasLease,
    PairTaints Taints,
    string Reason)
{
    /// <summary>Bytes sent in this life of the pair; the session fills it in.</summary>
    public long BytesSent { get; init; }

    /// <summary>The last comparison of everything.</summary>
    public ScrubStatus Scrub { get; init; }

    /// <summary>How a planned switch-over stands.</summary>
    public SwitchOverStatus SwitchOver { get; init; }
}
