using System;
using System.Numerics;
using System.Runtime.Intrinsics;

namespace Hypervisor.Core.Memory;

/// <summary>Moves the changed 64-byte lines of one page: out of it on the primary, into it on the standby.</summary>
/// <remarks>A mask has bit n set for line n. Packed lines follow each other in rising order without gaps.</remarks>
public static unsafe class LineDelta
{
    /// <summary>Bytes that the lines of <paramref name="mask"/> take when packed.</summary>
    public static int PackedBytes(ulong mask) => BitOperations.PopCount(mask) * PageKernels.LineBytes;

    /// <summary>
    /// Packs the lines of <paramref name="mask"/> into <paramref name="target"/>, and stores them to
    /// <paramref name="shadow"/> as well: both come from one read of the page.
    /// </summary>
    /// <returns>Bytes packed.</returns>
    public static int Pack(ReadOnlySpan<byte> page, Span<byte> shadow, ulong mask, Span<byte> target)
    {
        Check.That(page.Length == PageKernels.PageBytes && shadow.Length == PageKernels.PageBytes);
        Check.That(PackedBytes(mask) <= target.Length);
        fixed (byte* from = page, kept = shadow, start = target)
        {
            byte* to = start;
            for (ulong rest = mask; rest != 0; rest &= rest - 1)
            {
                int offset = BitOperations.TrailingZeroCount(rest) * PageKernels.LineBytes;
                Vector512<byte> line = Vector512.Load(from + offset);
                line.Store(kept + offset);
                line.Store(to);
                to += PageKernels.LineBytes;
            }

            return (int)(to - start);
        }
    }

    /// <summary>Stores packed lines to the page that they came from.</summary>
    public static void Unpack(ReadOnlySpan<byte> packed, ulong mask, Span<byte> page)
    {
        Check.That(page.Length == PageKernels.PageBytes && packed.Length == PackedBytes(mask));
        fixed (byte* start = packed, to = page)
        {
            byte* from = start;
            for (ulong rest = mask; rest != 0; rest &= rest - 1)
            {
                int offset = BitOperations.TrailingZeroCount(rest) * PageKernels.LineBytes;
                Vector512.Load(from).Store(to + offset);
                from += PageKernels.LineBytes;
            }
        }
    }
}
