namespace Hypervisor.Replication.Epochs;

/// <summary>What a cut cost, as the rim measured it.</summary>
/// <param name="PauseNanos">How long the guest stood still; 0: not measured.</param>
/// <param name="CopyNanos">How long its RAM was copied and encoded while the guest ran again.</param>
/// <param name="DirtyPages">Pages that had to be looked at.</param>
internal readonly record struct EpochCost(long PauseNanos, long CopyNanos, long DirtyPages);
