using System;
using Hypervisor.Core;

namespace Hypervisor.Replication.Link;

/// <summary>One pooled buffer on its way to the peer: a payload, and room in front of it for the frame header.</summary>
/// <remarks>Owned by one thread at a time: filled, handed to the link, sent, and returned to its pool there.</remarks>
internal sealed class Chunk
{
    /// <summary>Bytes kept free in front of the payload: no frame header is longer.</summary>
    public const int HeadroomBytes = 64;

    private readonly ChunkPool _pool;
    private readonly byte[] _bytes;
    private int _length;

    internal Chunk(ChunkPool pool, int payloadBytesMax)
    {
        _pool = pool;
        _bytes = new byte[HeadroomBytes + payloadBytesMax];
    }

    /// <summary>Bytes of payload so far.</summary>
    public int Length => _length;

    /// <summary>The payload so far.</summary>
    public Span<byte> Payload => _bytes.AsSpan(HeadroomBytes, _length);

    /// <summary>What is still free behind the payload.</summary>
    public Span<byte> Free => _bytes.AsSpan(HeadroomBytes + _length);

    /// <summary>Takes <paramref name="count"/> free bytes into the payload.</summary>
    public void Advance(int count)
    {
        Check.That((uint)count <= (uint)(_bytes.Length - HeadroomBytes - _length));
        _length += count;
    }

    /// <summary>Empties the payload.</summary>
    public void Clear() => _length = 0;

    /// <summary>The <paramref name="headerBytes"/> right before the payload, for the frame header.</summary>
    public Span<byte> Header(int headerBytes) => _bytes.AsSpan(HeadroomBytes - headerBytes, headerBytes);

    /// <summary>Header and payload in one piece, as they go to the socket.</summary>
    public ReadOnlyMemory<byte> Frame(int headerBytes)
        => _bytes.AsMemory(HeadroomBytes - headerBytes, headerBytes + _length);

    /// <summary>Gives the buffer back. The caller must not touch it any more.</summary>
    public void Return() => _pool.Return(this);
}
