namespace Hypervisor.Replication.Failover;

/// <summary>How a request to the witness ended.</summary>
internal enum WitnessOutcome : byte
{
    /// <summary>Read, or swapped and durable.</summary>
    Done = 1,

    /// <summary>Another record was there; nothing was changed.</summary>
    Conflict = 2,

    /// <summary>No answer: it may have been swapped, now or later, or not.</summary>
    Unreachable = 3,
}
