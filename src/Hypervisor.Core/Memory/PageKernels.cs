using System;
using System.Runtime.Intrinsics;

namespace Hypervisor.Core.Memory;

/// <summary>Loops over whole guest pages. Pages are 4 KiB and 4 KiB-aligned.</summary>
public static unsafe class PageKernels
{
    /// <summary>Size of a guest page in bytes.</summary>
    public const int PageBytes = 4096;

    /// <summary>Size of a line, the unit of a RAM delta, in bytes.</summary>
    public const int LineBytes = 64;

    /// <summary>Lines in a page: one bit each in a line mask.</summary>
    public const int LinesPerPage = PageBytes / LineBytes;

    /// <summary>Compares two pages line by line.</summary>
    /// <returns>Bit n is set when line n (64 bytes) differs; 0 when the pages are equal.</returns>
    public static ulong ChangedLines(byte* before, byte* after)
    {
        ulong changed = 0;
        for (int line = 0; line < LinesPerPage; line++)
        {
            int offset = line * LineBytes;
            if (Vector512.LoadAligned(before + offset) != Vector512.LoadAligned(after + offset))
            {
                changed |= 1ul << line;
            }
        }

        return changed;
    }

    /// <summary>Compares two pages line by line; see the other overload.</summary>
    public static ulong ChangedLines(ReadOnlySpan<byte> before, ReadOnlySpan<byte> after)
    {
        Check.That(before.Length == PageBytes && after.Length == PageBytes);
        fixed (byte* first = before, second = after)
        {
            Check.That((((nuint)first | (nuint)second) & (LineBytes - 1)) == 0);
            return ChangedLines(first, second);
        }
    }

    /// <summary>Whether all bytes are zero.</summary>
    public static bool IsZero(ReadOnlySpan<byte> page) => !page.ContainsAnyExcept((byte)0);
}
