using System.Threading;

namespace Hypervisor.Backends.Block.Filters;

/// <summary>
/// Passes everything to the disk below, and saves what a change would overwrite for a <see cref="FrozenDisk"/>, if
/// there is one. For one thread that changes the disk; others may read.
/// </summary>
public sealed class FreezableDisk(IBlockDevice inner) : IBlockDevice
{
    private readonly Lock _lock = new(); // protects _frozen while something is saved for it
    private FrozenDisk? _frozen;

    /// <inheritdoc/>
    public long LengthBytes => inner.LengthBytes;

    /// <inheritdoc/>
    public bool IsReadOnly => inner.IsReadOnly;

    /// <inheritdoc/>
    public bool CanResize => inner.CanResize;

    /// <summary>A disk that looks like this one from <see cref="Freeze"/> on; thaw before it is disposed.</summary>
    /// <exception cref="BlockImageException">No place for its temporary file.</exception>
    public FrozenDisk NewFrozen() => new(this);

    /// <summary>From now on the frozen disk keeps what is here now. On the thread that changes the disk.</summary>
    public void Freeze(FrozenDisk frozen)
    {
        lock (_lock)
        {
            _frozen = frozen;
        }
    }

    /// <summary>Nothing is saved any more; the frozen disk has no content from here on. Any thread.</summary>
    public void Thaw()
    {
        lock (_lock)
        {
            _frozen = null;
        }
    }

    /// <inheritdoc/>
    public void Submit(BlockRequest request)
    {
        if (request.Operation is BlockOperation.Write or BlockOperation.WriteZeroes or BlockOperation.Discard)
        {
            lock (_lock)
            {
                _frozen?.Preserve(request.OffsetBytes, request.LengthBytes);
            }
        }

        if (request.Operation == BlockOperation.Resize && request.LengthBytes < LengthBytes)
        {
            lock (_lock)
            {
                _frozen?.Preserve(request.LengthBytes, LengthBytes - request.LengthBytes);
            }
        }

        inner.Submit(request);
    }

    /// <summary>Nothing: the disk below belongs to somebody else.</summary>
    public void Dispose()
    {
    }
}
