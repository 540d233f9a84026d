using System;
using System.Runtime.InteropServices;

namespace Hypervisor.Core.Host;

/// <summary>A compressor of the host's: blocks that stand alone. One thread at a time.</summary>
public abstract class BlockCodec : IDisposable
{
    /// <summary>Compresses a block.</summary>
    /// <param name="source">What.</param>
    /// <param name="target">Where to; apart from <paramref name="source"/>.</param>
    /// <returns>Bytes written; 0 when the result is larger than <paramref name="target"/>.</returns>
    public abstract int Compress(ReadOnlySpan<byte> source, Span<byte> target);

    /// <summary>Fills a block from what <see cref="Compress"/> made of it. Any bytes are safe to give here.</summary>
    /// <returns>False when the source is damaged, or holds more or less than the target takes.</returns>
    public abstract bool TryExpand(ReadOnlySpan<byte> source, Span<byte> target);

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees what the library gave.</summary>
    protected virtual void Dispose(bool disposing)
    {
    }

    /// <summary>Whether the loader finds a library. Once found it stays loaded.</summary>
    protected static bool IsThere(string library) => NativeLibrary.TryLoad(library, out _);
}
