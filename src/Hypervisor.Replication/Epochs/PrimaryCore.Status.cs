using Hypervisor.Replication.Failover;

namespace Hypervisor.Replication.Epochs;

/// <summary>What people see of it.</summary>
internal sealed partial class PrimaryCore
{
    /// <summary>A snapshot for people.</summary>
    public PrimaryStatus Status(long nowNanos) => new(
        State,
        _generation,
        Incarnation,
        _epochs.OpenEpoch,
        _epochs.AckedEpoch,
        ReleasedEpoch,
        _epochs.InFlight == 0 ? 0 : nowNanos - _epochs.OldestCutNanos,
        IsCommitting && _lease.IsValid(nowNanos),
        _options.Taints | (_welcome is { IsAckDurable: false } ? PairTaints.AckFromMemory : PairTaints.None),
        Reason)
    {
        Scrub = new ScrubStatus(_scrub, _scrubbedBytes, _scrubNumber, _scrubReason),
        SwitchOver = new SwitchOverStatus(_switchesAsked, IsSwitchUnderWay, _switchError),
    };
}
