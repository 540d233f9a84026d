namespace Hypervisor.Replication.Failover;

/// <summary>What a side does that must ask the witness and does not reach it (rule 27).</summary>
public enum WitnessPolicy
{
    /// <summary>Ask again and again; the guest stands still meanwhile.</summary>
    Wait,

    /// <summary>Give up; the guest does not go on here.</summary>
    Stop,
}
