using System;

namespace Hypervisor.Backends.Block;

/// <summary>Passes everything to the device below; a filter overrides only what it changes.</summary>
public abstract class BlockFilter(IBlockDevice inner) : IBlockDevice
{
    /// <inheritdoc/>
    public virtual long LengthBytes => inner.LengthBytes;

    /// <inheritdoc/>
    public virtual bool IsReadOnly => inner.IsReadOnly;

    /// <inheritdoc/>
    public virtual bool CanResize => inner.CanResize;

    /// <summary>The device below.</summary>
    protected IBlockDevice Inner => inner;

    /// <inheritdoc/>
    public virtual void Submit(BlockRequest request) => inner.Submit(request);

    /// <inheritdoc/>
    public virtual void Dispose()
    {
        GC.SuppressFinalize(this);
        inner.Dispose();
    }
}
