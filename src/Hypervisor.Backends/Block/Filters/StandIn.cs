namespace Hypervisor.Backends.Block.Filters;

/// <summary>
/// A request below a filter, in place of the one above it, so that the filter hears of the end first.
/// </summary>
internal abstract class StandIn
{
    private readonly BlockRequest _below;
    private BlockRequest? _above;

    /// <summary>For any number of requests, one after the other.</summary>
    protected StandIn() => _below = new BlockRequest(OnCompleted);

    /// <summary>The request to submit below instead of this one.</summary>
    public BlockRequest For(BlockRequest above)
    {
        _above = above;
        _below.Operation = above.Operation;
        _below.OffsetBytes = above.OffsetBytes;
        _below.LengthBytes = above.LengthBytes;
        _below.Buffer = above.Buffer;
        return _below;
    }

    /// <summary>It has ended, and nobody above knows yet. From its return on it may be used again.</summary>
    protected abstract void OnEnded(BlockRequest below);

    private void OnCompleted(BlockRequest below)
    {
        BlockRequest above = _above!;
        BlockStatus status = below.Status;
        below.Buffer = default;
        _above = null;
        OnEnded(below);
        above.Complete(status);
    }
}
