namespace Hypervisor.CommandLine;

/// <summary>What a primary does once its standby is gone.</summary>
internal enum StandbyLossPolicy
{
    /// <summary>Go on without protection, after the witness knows that the standby is outdated (rule 29).</summary>
    Alone,

    /// <summary>Hold the guest until a standby is back.</summary>
    Wait,

    /// <summary>End the guest.</summary>
    Stop,
}
