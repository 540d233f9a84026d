namespace Hypervisor.Replication.Wire;

/// <summary>A moment of a guest's life that a copy of it stands at: an epoch of one life of a pair.</summary>
/// <remarks>
/// A copy may be newer than its point in some places, never older: so an older point than the true one is always safe
/// to name. It only makes a resync larger.
/// </remarks>
/// <param name="Incarnation">Life of the pair; 0: the copy is of nothing that anybody knows.</param>
/// <param name="Epoch">Last epoch that the copy has whole.</param>
internal readonly record struct ReplicaPoint(ulong Incarnation, ulong Epoch)
{
    /// <summary>Whether it is a copy of anything.</summary>
    public bool IsKnown => Incarnation != 0;

    /// <inheritdoc/>
    public override string ToString() => IsKnown ? $"epoch {Epoch} of incarnation {Incarnation:X}" : "nothing";
}
