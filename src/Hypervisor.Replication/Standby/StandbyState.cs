namespace Hypervisor.Replication.Standby;

/// <summary>Where a standby stands.</summary>
public enum StandbyState
{
    /// <summary>Waits for a primary; holds nothing of use.</summary>
    Idle,

    /// <summary>A Hello fits; the rim prepares for the full copy.</summary>
    Preparing,

    /// <summary>Receives the full copy; can't be promoted (rule 39).</summary>
    Copying,

    /// <summary>The full copy is in; the rim compares and flushes.</summary>
    Finishing,

    /// <summary>Stages, commits and applies epochs.</summary>
    Protecting,

    /// <summary>The primary is gone: finishes the committed epochs and flushes (rule 21).</summary>
    TakingOver,

    /// <summary>Writes the new generation and asks the witness.</summary>
    Deciding,

    /// <summary>Runs the guest, unprotected.</summary>
    Live,

    /// <summary>The guest ended on purpose; finishes and flushes.</summary>
    Ending,

    /// <summary>Ended on purpose.</summary>
    Ended,

    /// <summary>Out of protection after an error of its own (rules 8, 22); can't be promoted.</summary>
    Failed,
}
