namespace Hypervisor.Replication.Failover;

/// <summary>What the guest of a pair does, as the witness knows it.</summary>
public enum WitnessPhase : byte
{
    /// <summary>It runs at the runner.</summary>
    Running = 1,

    /// <summary>It ended on purpose: nobody takes over (rule 30).</summary>
    Ended = 2,
}
