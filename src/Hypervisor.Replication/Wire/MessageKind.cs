namespace Hypervisor.Replication.Wire;

/// <summary>What a frame carries. The number is the wire value and is never reused; see src/FORMATS.md.</summary>
internal enum MessageKind : byte
{
    /// <summary>Primary to standby, first frame: who I am and what I would protect.</summary>
    Hello = 1,

    /// <summary>Standby to primary: come in.</summary>
    Welcome = 2,

    /// <summary>Standby to primary: a field does not fit; both values follow.</summary>
    Refusal = 3,

    /// <summary>Primary to standby: changed RAM, opaque to the core.</summary>
    RamBlock = 4,

    /// <summary>Primary to standby: a range of a disk during the full copy.</summary>
    DiskBlock = 5,

    /// <summary>Primary to standby: a write, write-zeroes, discard or flush of the guest.</summary>
    DiskWrite = 6,

    /// <summary>Primary to standby: one or more checkpoint sections.</summary>
    Section = 7,

    /// <summary>Primary to standby: console bytes that the epoch put into the outbox.</summary>
    Output = 8,

    /// <summary>Primary to standby: the epoch is complete; counts and digest follow.</summary>
    EpochEnd = 9,

    /// <summary>Standby to primary: the epoch survives the loss of the primary.</summary>
    EpochAck = 10,

    /// <summary>Primary to standby: the full copy ends with epoch 0.</summary>
    FullCopyDone = 11,

    /// <summary>Standby to primary: the full copy is whole and durable.</summary>
    FullCopyAck = 12,

    /// <summary>Primary to standby: I am alive and ask for a lease from this moment.</summary>
    Heartbeat = 13,

    /// <summary>Standby to primary: alive too; the lease counts from the echoed moment.</summary>
    HeartbeatReply = 14,

    /// <summary>Primary to standby: the guest ended; do not take over.</summary>
    PlannedEnd = 15,

    /// <summary>Standby to primary: ended here too.</summary>
    PlannedEndAck = 16,

    /// <summary>Either way: protection ends, and why.</summary>
    Abort = 17,

    /// <summary>Primary to standby: digest of a range of a disk during the full copy.</summary>
    DiskDigest = 18,

    /// <summary>Standby to primary: whether the range is the same here.</summary>
    DiskAnswer = 19,

    /// <summary>Primary to standby: what a range must have as of its place in the epoch.</summary>
    Scrub = 20,

    /// <summary>Either way: a step of a planned switch-over.</summary>
    SwitchOver = 21,
}
