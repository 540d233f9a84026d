using System;
using System.Buffers.Binary;
using Hypervisor.Core.Memory;

namespace Hypervisor.Replication.Capture;

/// <summary>The bulk of a scrub: <see cref="PageHash"/> of each 4 KiB block of a range, one after the other.</summary>
/// <remarks>
/// A last block that the disk ends in counts as filled up with zeroes. All bits set: the block is not compared, as the
/// guest discarded it and the two halves may keep other bytes there.
/// </remarks>
internal static class ScrubHashes
{
    /// <summary>Instead of a hash: not compared.</summary>
    public const ulong Unknown = ulong.MaxValue;

    private const int BlockBytes = PageKernels.PageBytes;

    /// <summary>Bytes that the hashes of a range take.</summary>
    public static int Bytes(long lengthBytes) => (int)((lengthBytes + BlockBytes - 1) / BlockBytes * sizeof(ulong));

    /// <summary>Stores the hash of one block.</summary>
    public static void Put(Span<byte> hashes, int block, ulong hash)
        => BinaryPrimitives.WriteUInt64LittleEndian(hashes[(block * sizeof(ulong))..], hash);

    /// <summary>Whether a block of the range has its hash.</summary>
    /// <param name="hashes">Of the range.</param>
    /// <param name="block">Number of the block in the range.</param>
    /// <param name="place">Number of the block in RAM or on the disk.</param>
    /// <param name="bytes">The block; shorter at the end of a disk.</param>
    public static bool IsSame(ReadOnlySpan<byte> hashes, int block, long place, ReadOnlySpan<byte> bytes)
    {
        ulong expected = BinaryPrimitives.ReadUInt64LittleEndian(hashes[(block * sizeof(ulong))..]);
        return expected == Unknown || expected == Of(place, bytes);
    }

    /// <summary>The hash of a block.</summary>
    public static ulong Of(long place, ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length == BlockBytes)
        {
            return PageHash.Of(place, bytes);
        }

        Span<byte> whole = stackalloc byte[BlockBytes];
        whole.Clear();
        bytes.CopyTo(whole);
        return PageHash.Of(place, whole);
    }
}
