namespace Hypervisor.Backends.Block.Filters;

/// <summary>Refuses everything that would change the device below.</summary>
public sealed class ReadOnlyFilter(IBlockDevice inner) : BlockFilter(inner)
{
    /// <inheritdoc/>
    public override bool IsReadOnly => true;

    /// <inheritdoc/>
    public override bool CanResize => false;

    /// <inheritdoc/>
    public override void Submit(BlockRequest request)
    {
        if (request.Operation is BlockOperation.Read or BlockOperation.Flush)
        {
            Inner.Submit(request);
        }
        else
        {
            request.Complete(BlockStatus.ReadOnly);
        }
    }
}
