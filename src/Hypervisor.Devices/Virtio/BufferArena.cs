using System;
using System.Numerics;
using Hypervisor.Core;
using Hypervisor.Core.Host;

namespace Hypervisor.Devices.Virtio;

/// <summary>The memory that a disk's requests in flight may hold in all: pieces of one aligned block.</summary>
/// <remarks>
/// One bit per 4 KiB granule; the first gap that is long enough is taken. Requests taken in order from an empty arena
/// lie side by side, so what fitted once fits again when a checkpoint is loaded.
/// </remarks>
internal sealed class BufferArena(int lengthBytes)
{
    private const int GranuleBytes = 4096;

    private readonly ulong[] _taken = new ulong[lengthBytes / GranuleBytes / 64];
    private Memory<byte> _memory;

    /// <summary>Whether nothing is taken.</summary>
    public bool IsEmpty => !_taken.AsSpan().ContainsAnyExcept(0UL);

    /// <summary>Takes a piece. False when no gap is long enough now. A piece of 0 bytes needs no room.</summary>
    public bool TryRent(int count, out Memory<byte> piece, out int firstGranule)
    {
        piece = default;
        firstGranule = 0;
        int granules = (int)(((uint)count + GranuleBytes - 1) / GranuleBytes);
        if (granules == 0)
        {
            return true;
        }

        if (!TryFindGap(granules, out firstGranule))
        {
            return false;
        }

        if (_memory.IsEmpty)
        {
            _memory = HostFile.AllocateAligned(lengthBytes, GranuleBytes); // a disk that nobody uses costs nothing
        }

        for (int i = firstGranule; i < firstGranule + granules; i++)
        {
            _taken[i >> 6] |= 1UL << (i & 63);
        }

        piece = _memory.Slice(firstGranule * GranuleBytes, count);
        return true;
    }

    /// <summary>Gives a piece back.</summary>
    public void Return(int firstGranule, int count)
    {
        int end = firstGranule + (int)(((uint)count + GranuleBytes - 1) / GranuleBytes);
        for (int i = firstGranule; i < end; i++)
        {
            Check.That((_taken[i >> 6] & (1UL << (i & 63))) != 0);
            _taken[i >> 6] &= ~(1UL << (i & 63));
        }
    }

    private bool TryFindGap(int granules, out int first)
    {
        int end = _taken.Length * 64;
        first = NextWith(0, isTaken: false);
        while (first <= end - granules)
        {
            int after = NextWith(first, isTaken: true);
            if (after - first >= granules)
            {
                return true;
            }

            first = NextWith(after, isTaken: false);
        }

        return false;
    }

    // First granule from `from` on in that state, or the end.
    private int NextWith(int from, bool isTaken)
    {
        for (int word = from >> 6; word < _taken.Length; word++)
        {
            ulong bits = isTaken ? _taken[word] : ~_taken[word];
            bits &= word == from >> 6 ? ulong.MaxValue << (from & 63) : ulong.MaxValue;
            if (bits != 0)
            {
                return (word * 64) + BitOperations.TrailingZeroCount(bits);
            }
        }

        return _taken.Length * 64;
    }
}
