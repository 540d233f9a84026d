namespace Hypervisor.Replication.Epochs;

/// <summary>What a copy to a standby has to carry: what changed after a stamp, or everything.</summary>
/// <param name="Incarnation">Life of the pair that begins.</param>
/// <param name="BaseStamp">
/// Stamp of what changes while epoch 0 of this incarnation is open; epoch n has n more. Every stamp before is lower.
/// </param>
/// <param name="DisksAfter">The disks' changes with higher stamps are wanted; null: compare all of them.</param>
/// <param name="RamAfter">RAM's changes with higher stamps are wanted; null: all of it.</param>
internal readonly record struct ResyncPlan(ulong Incarnation, ulong BaseStamp, ulong? DisksAfter, ulong? RamAfter);
