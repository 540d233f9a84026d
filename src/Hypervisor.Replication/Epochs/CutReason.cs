namespace Hypervisor.Replication.Epochs;

/// <summary>Why an epoch was cut when it was.</summary>
public enum CutReason : byte
{
    /// <summary>The usual length is over.</summary>
    Grid,

    /// <summary>Output waits for the cut.</summary>
    OutputWaiting,

    /// <summary>A longer epoch could stage more than the budget.</summary>
    StagingBudget,

    /// <summary>Longer than usual: the copy of the epoch before took more than half of the usual length.</summary>
    CopyBudget,

    /// <summary>Longer than usual, or output waited for longer: recent pauses exceed the budget.</summary>
    PauseBudget,

    /// <summary>Longer than usual: the guest does nothing.</summary>
    Idle,

    /// <summary>The standby has no room, so the guest is held: the cut cannot wait.</summary>
    StandbyFull,

    /// <summary>The guest has ended, or goes to the standby.</summary>
    LastEpoch,
}
