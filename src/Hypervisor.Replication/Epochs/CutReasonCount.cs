namespace Hypervisor.Replication.Epochs;

/// <summary>How many cuts a reason led to.</summary>
/// <param name="Reason">The reason.</param>
/// <param name="Count">Cuts since the primary started.</param>
public readonly record struct CutReasonCount(CutReason Reason, long Count);
