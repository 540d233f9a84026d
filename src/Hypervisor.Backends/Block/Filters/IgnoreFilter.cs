namespace Hypervisor.Backends.Block.Filters;

/// <summary>
/// Answers one kind of request with success and does nothing: flushes in cache mode unsafe, discards.
/// </summary>
public sealed class IgnoreFilter(IBlockDevice inner, BlockOperation ignored) : BlockFilter(inner)
{
    /// <inheritdoc/>
    public override void Submit(BlockRequest request)
    {
        if (request.Operation != ignored)
        {
            Inner.Submit(request);
            return;
        }

        bool isInside = request.LengthBytes >= 0 && request.LengthBytes <= LengthBytes
            && request.OffsetBytes >= 0 && request.OffsetBytes <= LengthBytes - request.LengthBytes;
        request.Complete(
            !isInside ? BlockStatus.OutOfRange
            : IsReadOnly && ignored != BlockOperation.Flush ? BlockStatus.ReadOnly
            : BlockStatus.Ok);
    }
}
