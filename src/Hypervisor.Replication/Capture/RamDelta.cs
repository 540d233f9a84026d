using System;
using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using Hypervisor.Core;
using Hypervisor.Core.Memory;

namespace Hypervisor.Replication.Capture;

/// <summary>
/// The records of a RAM delta, as <see cref="RamDeltaWriter"/> writes them. Any bytes are safe to give here.
/// </summary>
/// <remarks>
/// Little-endian, packed, one after the other, none split between two chunks. The first word of each is
/// <c>page number (bits 0-29) | kind (bits 30-31)</c>:
/// <code>
/// kind 0  lines   word | mask u64 | packed lines      words of the mask's lines get new content
/// kind 1  fresh   word | mask u64 | packed lines      as kind 0, after all of the page became zero
/// kind 2  zeroes  word | count u32                    so many pages from there become zero
/// </code>
/// Packed lines: see <see cref="LineDelta"/>.
/// </remarks>
internal static class RamDelta
{
    /// <summary>The longest record: a page with all its lines.</summary>
    public const int RecordBytesMax =
        LinesHeaderBytes + (PageKernels.LinesPerPage * LineDelta.LineBytesMax);

    /// <summary>
    /// So many zero pages in a row are given back to the host, on both sides; clearing fewer costs less than the call.
    /// </summary>
    internal const int GivenBackPagesMin = 8;

    internal const int LinesHeaderBytes = sizeof(uint) + sizeof(ulong);
    internal const int ZeroesBytes = sizeof(uint) + sizeof(uint);
    internal const int KindShift = 30;
    internal const uint PageMask = (1u << KindShift) - 1;
    internal const uint LinesKind = 0, FreshKind = 1, ZeroesKind = 2;

    /// <summary>
    /// Checks a chunk against a machine of <paramref name="pageCount"/> pages, before any of it is applied.
    /// </summary>
    /// <param name="chunk">The records.</param>
    /// <param name="pageCount">Pages that the machine has.</param>
    /// <param name="refusal">What is wrong, and at which byte.</param>
    public static bool TryCheck(
        ReadOnlySpan<byte> chunk, long pageCount, [NotNullWhen(false)] out string? refusal)
    {
        for (int at = 0; at < chunk.Length;)
        {
            ReadOnlySpan<byte> rest = chunk[at..];
            refusal = CheckRecord(rest, pageCount, out int length);
            if (refusal is not null)
            {
                refusal = $"RAM delta, byte {at}: {refusal}";
                return false;
            }

            at += length;
        }

        refusal = null;
        return true;
    }

    /// <summary>
    /// Stores a checked chunk to RAM, and tells the digest what RAM has then. The machine is paused or never started.
    /// </summary>
    public static void Apply(ReadOnlySpan<byte> chunk, GuestRam ram, RamDigest digest)
    {
        ArgumentNullException.ThrowIfNull(ram);
        while (!chunk.IsEmpty)
        {
            // Checked again, for the price of a few compares: nothing that passed TryCheck may fail here.
            Check.That(CheckRecord(chunk, ram.PageCount, out int length) is null);
            uint word = BinaryPrimitives.ReadUInt32LittleEndian(chunk);
            long number = word & PageMask;
            long offset = number * PageKernels.PageBytes;
            if (word >> KindShift == ZeroesKind)
            {
                ClearPages(ram, digest, number, BinaryPrimitives.ReadUInt32LittleEndian(chunk[sizeof(uint)..]));
            }
            else
            {
                Span<byte> page = ram.WritableBytes(offset, PageKernels.PageBytes);
                if (word >> KindShift == FreshKind)
                {
                    page.Clear();
                }

                ulong mask = BinaryPrimitives.ReadUInt64LittleEndian(chunk[sizeof(uint)..]);
                LineDelta.Unpack(chunk[LinesHeaderBytes..length], mask, page);
                digest.Update(number, page);
            }

            chunk = chunk[length..];
        }
    }

    private static void ClearPages(GuestRam ram, RamDigest digest, long first, uint count)
    {
        for (long page = first; page < first + count; page++)
        {
            digest.Clear(page);
        }

        long offset = first * PageKernels.PageBytes;
        long lengthBytes = count * (long)PageKernels.PageBytes;
        if (count >= GivenBackPagesMin)
        {
            if (ram.HasMemory(offset, lengthBytes))
            {
                ram.Discard(offset, lengthBytes);
            }

            return;
        }

        for (; count > 0; count--, offset += PageKernels.PageBytes)
        {
            // A page that the host never backed stays so: writing to it would cost memory.
            if (!PageKernels.IsZero(ram.PageBytes(offset / PageKernels.PageBytes)))
            {
                ram.WritableBytes(offset, PageKernels.PageBytes).Clear();
            }
        }
    }

    /// <returns>What is wrong with the record at the start of <paramref name="rest"/>; null when nothing is.</returns>
    private static string? CheckRecord(ReadOnlySpan<byte> rest, long pageCount, out int length)
    {
        length = 0;
        if (rest.Length < sizeof(uint))
        {
            return $"{rest.Length} bytes left, a record has at least {ZeroesBytes}";
        }

        uint word = BinaryPrimitives.ReadUInt32LittleEndian(rest);
        long page = word & PageMask;
        if (page >= pageCount)
        {
            return $"page {page} of a machine with {pageCount}";
        }

        switch (word >> KindShift)
        {
            case LinesKind or FreshKind:
                if (rest.Length < LinesHeaderBytes)
                {
                    return $"{rest.Length} bytes left, a page's mask ends at {LinesHeaderBytes}";
                }

                ulong mask = BinaryPrimitives.ReadUInt64LittleEndian(rest[sizeof(uint)..]);
                int packed = LineDelta.Measure(rest[LinesHeaderBytes..], mask);
                length = LinesHeaderBytes + packed;
                return mask == 0 ? $"page {page} comes without a line"
                    : packed < 0 ? $"page {page} has masks of words that end early or contradict each other"
                    : length > rest.Length ? $"page {page} needs {length} bytes, {rest.Length} are left" : null;

            case ZeroesKind:
                length = ZeroesBytes;
                if (rest.Length < length)
                {
                    return $"{rest.Length} bytes left, a run of zero pages has {ZeroesBytes}";
                }

                uint count = BinaryPrimitives.ReadUInt32LittleEndian(rest[sizeof(uint)..]);
                return count == 0 || count > pageCount - page
                    ? $"{count} zero pages from page {page} of a machine with {pageCount}" : null;

            default:
                return $"record of kind {word >> KindShift}, known are 0 to 2";
        }
    }
}
