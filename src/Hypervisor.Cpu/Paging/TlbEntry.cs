using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Hypervisor.Cpu.Paging;

/// <summary>One slot of a software TLB: a view of four arrays that lie one behind the other.</summary>
/// <remarks>
/// Slot n of a table is at table + 8 n; generated code indexes the arrays with a scaled register. A tag is the negated
/// linear address of the page, so that linear + tag + size - 1 is below 4096 exactly when the whole access lies on the
/// page: one that crosses misses by itself, and the comparison can be made without touching the flags. An unused tag
/// names a page of a slot half a table away, which no address of this slot comes near. The write tag is armed only
/// while a store needs no bookkeeping: page state exactly Dirty, PTE dirty and writable.
/// </remarks>
[StructLayout(LayoutKind.Explicit)]
public struct TlbEntry
{
    internal const int SlotCount = 4096;
    internal const int ArrayBytes = SlotCount * sizeof(ulong);
    internal const int TableBytes = 4 * ArrayBytes;
    internal const int ReadAt = 0;
    internal const int WriteAt = ArrayBytes;
    internal const int ExecuteAt = 2 * ArrayBytes;
    internal const int AddendAt = 3 * ArrayBytes;

    private const int PageShift = 12;
    private const ulong PageBytes = 1ul << PageShift;

    /// <summary>Page that may be read through <see cref="Addend"/>, negated.</summary>
    [FieldOffset(ReadAt)]
    public ulong ReadTag;

    /// <summary>Page that may be stored to through <see cref="Addend"/>, negated.</summary>
    [FieldOffset(WriteAt)]
    public ulong WriteTag;

    /// <summary>Page that instructions may be fetched from through <see cref="Addend"/>, negated.</summary>
    [FieldOffset(ExecuteAt)]
    public ulong ExecuteTag;

    /// <summary>Host address minus linear address.</summary>
    [FieldOffset(AddendAt)]
    public ulong Addend;

    /// <summary>Number of the slot of <paramref name="linear"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static int SlotOf(ulong linear) => (int)(linear >> PageShift) & (SlotCount - 1);

    /// <summary>The slot of <paramref name="linear"/> in <paramref name="table"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static unsafe TlbEntry* Of(TlbEntry* table, ulong linear)
        => (TlbEntry*)((ulong*)table + ((linear >> PageShift) & (SlotCount - 1)));

    /// <summary>Tag of the page that holds <paramref name="linear"/>.</summary>
    internal static ulong TagOf(ulong linear) => 0 - (linear & ~(PageBytes - 1));

    /// <summary>A tag that nothing matches in slot <paramref name="slot"/>.</summary>
    internal static ulong Unused(int slot)
        => 0 - ((ulong)((slot + (SlotCount / 2)) & (SlotCount - 1)) << PageShift);

    /// <summary>Whether an access lies on the page of <paramref name="tag"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool Hits(ulong tag, ulong linear, int sizeBytes)
        => linear + tag + (ulong)(sizeBytes - 1) < PageBytes;
}
