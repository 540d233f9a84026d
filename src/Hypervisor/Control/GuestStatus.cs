using System.Collections.Generic;
using Hypervisor.Devices.Virtio;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Session;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Control;

/// <summary>What can be seen of a guest from outside, at one moment. What its role does not have is zero.</summary>
internal sealed record GuestStatus
{
    /// <summary>What this process is to the guest.</summary>
    public GuestRole Role { get; init; }

    /// <summary>Name of the machine.</summary>
    public string Guest { get; init; } = "";

    /// <summary>Where it stands, in camel case: one of <see cref="GuestStates"/>.</summary>
    public string State { get; init; } = "";

    /// <summary>Why it is in this state; empty when there is nothing to say.</summary>
    public string Reason { get; init; } = "";

    /// <summary>The last line that was said about it, epochs aside.</summary>
    public string LastEvent { get; init; } = "";

    /// <summary>Time since the process began to watch it.</summary>
    public long UptimeMicros { get; init; }

    /// <summary>Generation of whoever runs the guest; counts takeovers.</summary>
    public ulong Generation { get; init; }

    /// <summary>Life of the pair; 0 before the first pairing.</summary>
    public ulong Incarnation { get; init; }

    /// <summary>Epochs cut so far.</summary>
    public long Epochs { get; init; }

    /// <summary>Epoch that the guest is in.</summary>
    public ulong OpenEpoch { get; init; }

    /// <summary>Last epoch that survives the loss of the primary, as the primary knows.</summary>
    public ulong AckedEpoch { get; init; }

    /// <summary>Last epoch whose output is out.</summary>
    public ulong ReleasedEpoch { get; init; }

    /// <summary>Last epoch that survives the loss of the primary, as the standby knows.</summary>
    public ulong CommittedEpoch { get; init; }

    /// <summary>Last epoch in the standby's RAM and on its disks.</summary>
    public ulong AppliedEpoch { get; init; }

    /// <summary>How long the guest stood still for cuts.</summary>
    public PauseSummary Pauses { get; init; }

    /// <summary>Longest pause of each of the last seconds, oldest first; 0: none.</summary>
    public IReadOnlyList<long> RecentPauseMicros { get; init; } = [];

    /// <summary>Pauses of each length: entry n counts those of 2^n ns and more, but not twice as much.</summary>
    public IReadOnlyList<long> PauseCounts { get; init; } = [];

    /// <summary>How long the phases of an epoch took, in their order; a standby has its own only.</summary>
    public IReadOnlyList<PhaseSummary> Phases { get; init; } = [];

    /// <summary>How many cuts each reason led to, in the order of the reasons.</summary>
    public IReadOnlyList<CutReasonCount> CutReasons { get; init; } = [];

    /// <summary>Why the last epoch was as long as it was; null before the first.</summary>
    public CutReason? LastCut { get; init; }

    /// <summary>How a planned switch-over stands.</summary>
    public SwitchOverStatus SwitchOver { get; init; } = new(0, false, "");

    /// <summary>Age of the oldest cut that is not acknowledged.</summary>
    public long LagMicros { get; init; }

    /// <summary>Whether output may leave.</summary>
    public bool HasLease { get; init; }

    /// <summary>Bytes sent to the standby in this life of the pair.</summary>
    public long BytesSent { get; init; }

    /// <summary>Bytes received from the primary in this life of the pair.</summary>
    public long BytesReceived { get; init; }

    /// <summary>Pages that the guest changed in the last epoch.</summary>
    public long DirtyPages { get; init; }

    /// <summary>Bytes of the last full copy that are over.</summary>
    public long CopyDoneBytes { get; init; }

    /// <summary>Bytes of the last full copy.</summary>
    public long CopyTotalBytes { get; init; }

    /// <summary>The last scrub.</summary>
    public ScrubStatus Scrub { get; init; } = new(ScrubState.None, 0, 0, "");

    /// <summary>Guest instructions run; null when nobody counts them.</summary>
    public ulong? Instructions { get; init; }

    /// <summary>Disks, in the guest's order.</summary>
    public IReadOnlyList<DiskIdentity> Disks { get; init; } = [];

    /// <summary>The memory balloon; null: there is none.</summary>
    public BalloonStatus? Balloon { get; init; }

    /// <summary>What makes the protection weaker.</summary>
    public PairTaints Taints { get; init; }
}
