namespace Hypervisor.Replication.Failover;

/// <summary>What a primary does that lost its standby.</summary>
public enum StandbyLossPolicy
{
    /// <summary>Goes on unprotected, once the witness holds "standby outdated" (rule 29).</summary>
    Alone,

    /// <summary>Stands still until the standby is back and in sync again.</summary>
    Wait,

    /// <summary>Stops the guest.</summary>
    Stop,
}
