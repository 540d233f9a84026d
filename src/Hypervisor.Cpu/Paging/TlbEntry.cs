using System.Runtime.CompilerServices;

namespace Hypervisor.Cpu.Paging;

/// <summary>
/// Where one entry of a software TLB lies: copies are the same entry. Generated code indexes the arrays.
/// </summary>
/// <remarks>
/// A tag is the negated linear address of the page before, so that (linear + tag + size - 1) / 4096 is 1 exactly when
/// the whole access lies on the page: one that crosses misses by itself, and the comparison can be made without
/// touching the flags. An unused tag names a page of a slot half a table away, which no address of this slot comes
/// near. The write tag is armed only while a store needs no bookkeeping: page state exactly Dirty, PTE dirty and
/// writable. A table is an array of each field: then a slot's number is an index that an address has, and neighbouring
/// pages share cache lines. An entry is where its read tag is; the other fields are at a distance.
/// </remarks>
/// <param name="readTag">Its element of the first array of a table.</param>
internal readonly unsafe struct TlbEntry(ulong* readTag)
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

    private readonly ulong* _readTag = readTag;

    /// <summary>Tag of the page that may be read through <see cref="Addend"/>.</summary>
    internal ref ulong ReadTag => ref *_readTag;

    /// <summary>Tag of the page that may be stored to through <see cref="Addend"/>.</summary>
    internal ref ulong WriteTag => ref _readTag[WriteAt / sizeof(ulong)];

    /// <summary>Host address minus linear address.</summary>
    internal ref ulong Addend => ref _readTag[AddendAt / sizeof(ulong)];

    /// <summary>
    /// Tag of the page that may be executed through <see cref="Addend"/>. A second entry has none.
    /// </summary>
    internal ref ulong ExecuteTag => ref _readTag[ExecuteAt / sizeof(ulong)];

    /// <summary>Number of the slot of <paramref name="linear"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static int SlotOf(ulong linear) => (int)(linear >> PageShift) & (SlotCount - 1);

    /// <summary>The slot of <paramref name="linear"/> in <paramref name="table"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static TlbEntry Of(ulong* table, ulong linear)
        => new(table + ((linear >> PageShift) & (SlotCount - 1)));

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
