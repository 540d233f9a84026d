using System;
using System.Numerics;
using System.Threading;

namespace Hypervisor.Backends.Block;

/// <summary>For each chunk of a disk, the stamp of its last change: what changed after a stamp is a question.</summary>
/// <remarks>
/// Nothing is ever cleared, so there is no moment at which a mark can be lost. Threads may mark and read at once; a
/// reader sees a mark at the latest when the change is shown to it in another way.
/// </remarks>
public sealed class ChangeMap
{
    /// <summary>The finest grain that pays, in bytes: a guest's database writes about that much at once.</summary>
    public const int ChunkBytesMin = 16 << 10;

    private const int ChunksMax = 1 << 20; // 8 MiB of stamps for each disk

    private readonly int _chunkShift;
    private long _lengthBytes;
    private ulong[] _stamps;

    /// <summary>A map in which nothing has changed: stamp 0 everywhere.</summary>
    /// <param name="lengthBytes">Size of the disk.</param>
    /// <param name="chunkBytesMin">The finest grain, a power of two; a small disk can have less than the usual.</param>
    public ChangeMap(long lengthBytes, int chunkBytesMin = ChunkBytesMin)
    {
        _lengthBytes = lengthBytes;
        long chunk = (long)BitOperations.RoundUpToPowerOf2((ulong)Math.Max(chunkBytesMin, lengthBytes / ChunksMax));
        _chunkShift = BitOperations.Log2((ulong)chunk);
        _stamps = new ulong[(lengthBytes + chunk - 1) >> _chunkShift];
    }

    /// <summary>Grain of the map, in bytes: a power of two.</summary>
    public long ChunkBytes => 1L << _chunkShift;

    /// <summary>
    /// The disk gets another size. While nobody marks. What is new changes now: the other side may have something else
    /// there, from before the disk was made smaller.
    /// </summary>
    /// <param name="lengthBytes">The size.</param>
    /// <param name="stamp">When.</param>
    public void Resize(long lengthBytes, ulong stamp)
    {
        long before = _lengthBytes;
        long chunks = (lengthBytes + ChunkBytes - 1) >> _chunkShift;
        if (chunks > _stamps.Length)
        {
            ulong[] more = new ulong[chunks];
            _stamps.CopyTo(more, 0);
            Volatile.Write(ref _stamps, more); // pairs with the readers: they see the old one or the new one
        }

        Volatile.Write(ref _lengthBytes, lengthBytes); // behind the stamps, which are never fewer
        Mark(before, Math.Max(0, lengthBytes - before), stamp);
    }

    /// <summary>A range changes now; what of it is not on the disk is left out.</summary>
    /// <param name="offsetBytes">First byte, 0 or more.</param>
    /// <param name="lengthBytes">How many, 0 or more.</param>
    /// <param name="stamp">When.</param>
    public void Mark(long offsetBytes, long lengthBytes, ulong stamp)
    {
        long end = lengthBytes < _lengthBytes - offsetBytes ? offsetBytes + lengthBytes : _lengthBytes;
        for (long chunk = offsetBytes >> _chunkShift; chunk << _chunkShift < end; chunk++)
        {
            Volatile.Write(ref _stamps[chunk], stamp); // pairs with the reads below
        }
    }

    /// <summary>The next range that changed after a stamp.</summary>
    /// <param name="fromBytes">Where to look from: the end of the last range found, or 0.</param>
    /// <param name="after">The stamp; null: everything counts as changed.</param>
    /// <param name="lengthMaxBytes">Longest range wanted.</param>
    /// <param name="offsetBytes">Where it begins.</param>
    /// <param name="lengthBytes">How long it is.</param>
    /// <returns>False when there is none.</returns>
    public bool TryFind(
        long fromBytes, ulong? after, long lengthMaxBytes, out long offsetBytes, out long lengthBytes)
    {
        offsetBytes = fromBytes;
        if (after is { } stamp)
        {
            long chunk = fromBytes >> _chunkShift;
            while (chunk < _stamps.Length && Volatile.Read(ref _stamps[chunk]) <= stamp)
            {
                chunk++;
            }

            offsetBytes = Math.Max(fromBytes, chunk << _chunkShift);
            while (chunk < _stamps.Length && (chunk << _chunkShift) - offsetBytes < lengthMaxBytes
                && Volatile.Read(ref _stamps[chunk]) > stamp)
            {
                chunk++;
            }

            lengthMaxBytes = Math.Min(lengthMaxBytes, (chunk << _chunkShift) - offsetBytes);
        }

        lengthBytes = Math.Min(lengthMaxBytes, _lengthBytes - offsetBytes);
        return lengthBytes > 0;
    }

    /// <summary>Whether anything of a range, which may go beyond the end, changed after a stamp.</summary>
    public bool IsChanged(long offsetBytes, long lengthBytes, ulong after)
        => TryFind(offsetBytes, after, lengthBytes, out long found, out _) && found < offsetBytes + lengthBytes;

    /// <summary>Bytes in chunks that changed after a stamp; null: all of them.</summary>
    public long CountBytes(ulong? after)
    {
        long bytes = 0;
        for (long from = 0; TryFind(from, after, long.MaxValue / 2, out long offset, out long length);)
        {
            bytes += length;
            from = offset + length;
        }

        return bytes;
    }
}
