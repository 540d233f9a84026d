using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Hypervisor.Cpu.Paging;

/// <summary>One entry of a software TLB; generated code indexes arrays of it.</summary>
/// <remarks>
/// A tag is the negated linear address of the page before, so that (linear + tag + size - 1) / 4096 is 1 exactly when
/// the whole access lies on the page: one that crosses misses by itself, and the comparison can be made without
/// touching the flags. An unused tag names a page of a slot half a table away, which no address of this slot comes
/// near. The write tag is armed only while a store needs no bookkeeping: page state exactly Dirty, PTE dirty and
/// writable. A table is an array of each field: then a slot's number is an index that an address has, and neighbouring
/// pages share cache lines. An entry is where its read tag is; the other fields are at a distance.
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
public struct TlbEntry
{
    internal const int SlotCount = 4096;
    internal const int ReadAt = 0;
    internal const int WriteAt = SlotCount * sizeof(ulong);
    internal const int AddendAt = 2 * WriteAt;
    internal const int ExecuteAt = 3 * WriteAt;

    /// <summary>
    /// Second entries of the slots: what the first held before, for pages that fall on one slot by turns. Read and
    /// write tags and addends only; looked at when the first does not match, and exchanged with it when it does.
    /// </summary>
    internal const int SecondAt = 4 * WriteAt;

    internal const int TableBytes = 7 * WriteAt;

    /// <summary>What a tag and an address of its page add up to, without the offset in the page.</summary>
    internal const ulong PageBytes = 1ul << PageShift;

    private const int PageShift = 12;

    /// <summary>Tag of the page that may be read through <see cref="Addend"/>.</summary>
    public ulong ReadTag;

    /// <summary>Tag of the page that may be stored to through <see cref="Addend"/>.</summary>
    public ulong WriteTag
    {
        readonly get => Unsafe.Add(ref Unsafe.AsRef(in ReadTag), SlotCount);
        set => Unsafe.Add(ref ReadTag, SlotCount) = value;
    }

    /// <summary>Host address minus linear address.</summary>
    public ulong Addend
    {
        readonly get => Unsafe.Add(ref Unsafe.AsRef(in ReadTag), 2 * SlotCount);
        set => Unsafe.Add(ref ReadTag, 2 * SlotCount) = value;
    }

    /// <summary>Number of the slot of <paramref name="linear"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static int SlotOf(ulong linear) => (int)(linear >> PageShift) & (SlotCount - 1);

    /// <summary>The slot of <paramref name="linear"/> in <paramref name="table"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static unsafe TlbEntry* Of(TlbEntry* table, ulong linear)
        => table + ((linear >> PageShift) & (SlotCount - 1));

    /// <summary>The tag that grants fetches, for the slot of <paramref name="linear"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static unsafe ulong* ExecuteTagOf(TlbEntry* table, ulong linear)
        => (ulong*)((byte*)table + ExecuteAt) + ((linear >> PageShift) & (SlotCount - 1));

    /// <summary>Tag of the page that holds <paramref name="linear"/>.</summary>
    internal static ulong TagOf(ulong linear) => PageBytes - (linear & ~(PageBytes - 1));

    /// <summary>A tag that nothing matches in slot <paramref name="slot"/>.</summary>
    internal static ulong Unused(int slot)
        => PageBytes - ((ulong)((slot + (SlotCount / 2)) & (SlotCount - 1)) << PageShift);

    /// <summary>Whether an access lies on the page of <paramref name="tag"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool Hits(ulong tag, ulong linear, int sizeBytes)
        => linear + tag + (ulong)(sizeBytes - 1) - PageBytes < PageBytes;
}
