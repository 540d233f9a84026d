using System;
using Hypervisor.Core;

namespace Hypervisor.Replication.Link;

/// <summary>One pooled buffer on its way to the peer. Disposing it returns it to its pool.</summary>
/// <remarks>Owned by one thread at a time: filled, attached to a message, sent, and returned when the message is
/// released.</remarks>
internal sealed class Chunk : IDisposable
{
    private readonly ChunkPool _pool;
    private readonly byte[] _bytes;
    private int _length;

    public Chunk(ChunkPool pool, int bytesMax)
    {
        _pool = pool;
        _bytes = GC.AllocateUninitializedArray<byte>(bytesMax);
    }

    /// <summary>Bytes filled so far.</summary>
    public int Length => _length;

    /// <summary>What is filled.</summary>
    public ReadOnlyMemory<byte> Content => _bytes.AsMemory(0, _length);

    /// <summary>What is still free behind it.</summary>
    public Span<byte> Free => _bytes.AsSpan(_length);

    /// <summary>Takes <paramref name="count"/> free bytes into the content.</summary>
    public void Advance(int count)
    {
        Check.That((uint)count <= (uint)(_bytes.Length - _length));
        _length += count;
    }

    /// <summary>Empties it.</summary>
    public void Clear() => _length = 0;

    /// <inheritdoc/>
    public void Dispose() => _pool.Return(this);
}
