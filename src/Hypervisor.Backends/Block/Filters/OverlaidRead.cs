namespace Hypervisor.Backends.Block.Filters;

/// <summary>A read of the disk, over which goes what waited when it was submitted.</summary>
internal sealed class OverlaidRead
{
    private readonly BlockRequest _above;
    private readonly SharedDiskChange[] _changes;

    /// <summary>Prepares it.</summary>
    public OverlaidRead(BlockRequest above, SharedDiskChange[] changes)
    {
        _above = above;
        _changes = changes;
        Below = new BlockRequest(OnDone)
        {
            Operation = BlockOperation.Read,
            OffsetBytes = above.OffsetBytes,
            LengthBytes = above.LengthBytes,
            Buffer = above.Buffer,
        };
    }

    /// <summary>What goes to the disk.</summary>
    public BlockRequest Below { get; }

    private void OnDone(BlockRequest below)
    {
        if (below.Status == BlockStatus.Ok)
        {
            foreach (SharedDiskChange change in _changes)
            {
                change.CopyTo(_above.Buffer.Span, _above.OffsetBytes);
            }
        }

        _above.Complete(below.Status);
    }
}
