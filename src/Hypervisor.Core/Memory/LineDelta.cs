using System;
using System.Numerics;
using System.Runtime.Intrinsics;

namespace Hypervisor.Core.Memory;

/// <summary>Moves what changed of one page: out of it on the primary, into it on the standby.</summary>
/// <remarks>
/// A line mask has bit n set for the 64-byte line n. Packed, in rising order of lines and words, without gaps:
/// <code>
/// changed u8 × lines | zeroed u8 × lines | the words that are changed and not zeroed, u64 each
/// </code>
/// Bit n of the bytes of a line is its 8-byte word n; what is zeroed is also changed. Of a build's dirty lines two
/// words in three change, and a quarter of those become zero.
/// </remarks>
public static unsafe class LineDelta
{
    /// <summary>The most bytes that one line takes when packed.</summary>
    public const int LineBytesMax = MaskBytes + PageKernels.LineBytes;

    private const int MaskBytes = 2;
    private const int WordBytes = sizeof(ulong);

    /// <summary>
    /// Packs the lines of <paramref name="mask"/> into <paramref name="target"/>, and stores them to
    /// <paramref name="shadow"/> as well: both come from one read of the page. Each of them differs from the shadow.
    /// </summary>
    /// <returns>Bytes packed.</returns>
    public static int Pack(ReadOnlySpan<byte> page, Span<byte> shadow, ulong mask, Span<byte> target)
    {
        int lines = BitOperations.PopCount(mask);
        Check.That(page.Length == PageKernels.PageBytes && shadow.Length == PageKernels.PageBytes);
        Check.That(lines * LineBytesMax <= target.Length);
        fixed (byte* from = page, kept = shadow, start = target)
        {
            byte* changedBits = start, zeroedBits = start + lines;
            byte* to = start + (lines * MaskBytes);
            for (ulong rest = mask; rest != 0; rest &= rest - 1)
            {
                int offset = BitOperations.TrailingZeroCount(rest) * PageKernels.LineBytes;
                var line = Vector512.Load((ulong*)(from + offset));
                var before = Vector512.Load((ulong*)(kept + offset));
                ulong changed = ~Vector512.Equals(line, before).ExtractMostSignificantBits() & byte.MaxValue;
                ulong zeroed = Vector512.Equals(line, Vector512<ulong>.Zero).ExtractMostSignificantBits() & changed;
                line.Store((ulong*)(kept + offset));
                *changedBits++ = (byte)changed;
                *zeroedBits++ = (byte)zeroed;
                for (ulong words = changed & ~zeroed; words != 0; words &= words - 1)
                {
                    int word = BitOperations.TrailingZeroCount(words) * WordBytes;
                    *(ulong*)to = *(ulong*)(kept + offset + word);
                    to += WordBytes;
                }
            }

            return (int)(to - start);
        }
    }

    /// <summary>Bytes that packed lines take, told by their masks. Any bytes are safe to give here.</summary>
    /// <returns>
    /// The length, which may be more than there is; -1 when the masks end early, a line has no change, or a word is
    /// zeroed and not changed.
    /// </returns>
    public static int Measure(ReadOnlySpan<byte> packed, ulong mask)
    {
        int lines = BitOperations.PopCount(mask);
        if (packed.Length < lines * MaskBytes)
        {
            return -1;
        }

        int words = 0;
        for (int i = 0; i < lines; i++)
        {
            byte changed = packed[i], zeroed = packed[lines + i];
            if (changed == 0 || (zeroed & ~changed) != 0)
            {
                return -1;
            }

            words += BitOperations.PopCount((uint)(changed ^ zeroed));
        }

        return (lines * MaskBytes) + (words * WordBytes);
    }

    /// <summary>Stores packed lines, which are measured and whole, to the page that they came from.</summary>
    public static void Unpack(ReadOnlySpan<byte> packed, ulong mask, Span<byte> page)
    {
        Check.That(page.Length == PageKernels.PageBytes && packed.Length == Measure(packed, mask));
        int lines = BitOperations.PopCount(mask);
        fixed (byte* start = packed, to = page)
        {
            byte* bits = start;
            byte* from = start + (lines * MaskBytes);
            for (ulong rest = mask; rest != 0; rest &= rest - 1, bits++)
            {
                byte* line = to + (BitOperations.TrailingZeroCount(rest) * PageKernels.LineBytes);
                for (uint words = bits[0]; words != 0; words &= words - 1)
                {
                    int word = BitOperations.TrailingZeroCount(words);
                    ulong value = 0;
                    if ((bits[lines] & (1 << word)) == 0)
                    {
                        value = *(ulong*)from;
                        from += WordBytes;
                    }

                    *(ulong*)(line + (word * WordBytes)) = value;
                }
            }
        }
    }
}
