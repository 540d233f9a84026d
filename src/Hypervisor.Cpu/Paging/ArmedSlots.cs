using System;

namespace Hypervisor.Cpu.Paging;

/// <summary>Which TLB slots may have an armed write tag, so that disarming them need not visit all.</summary>
/// <remarks>It may name a slot that is armed no longer; it never forgets one that is.</remarks>
internal sealed class ArmedSlots(long pageCount)
{
    /// <summary>A page that may be armed in any slot.</summary>
    internal const int Anywhere = -1;

    /// <summary>A page that is armed nowhere.</summary>
    internal const int Nowhere = -2;

    private const int CountMax = 4096;
    private const ushort Many = ushort.MaxValue;

    // By page of RAM: 0, the number of its slot plus 1, or Many.
    private readonly ushort[] _slotOfPage = new ushort[pageCount];
    private readonly ushort[] _slots = new ushort[CountMax];
    private int _count;

    /// <summary>Those armed since <see cref="Clear"/>; not valid after more than it can remember.</summary>
    internal ReadOnlySpan<ushort> Slots => _slots.AsSpan(0, _count);

    /// <summary>Whether <see cref="Slots"/> is not all.</summary>
    internal bool HasOverflowed { get; private set; }

    /// <summary>Notes that <paramref name="slot"/> is armed for <paramref name="page"/> of RAM.</summary>
    internal void Add(long page, int slot)
    {
        ref ushort known = ref _slotOfPage[page];
        known = known == 0 || known == slot + 1 ? (ushort)(slot + 1) : Many;
        if (_count < CountMax)
        {
            _slots[_count++] = (ushort)slot;
        }
        else
        {
            HasOverflowed = true;
        }
    }

    /// <summary>
    /// The slot that <paramref name="page"/> is armed in, or <see cref="Anywhere"/>, or <see cref="Nowhere"/>; it is
    /// disarmed by who asks.
    /// </summary>
    internal int Take(long page)
    {
        int known = _slotOfPage[page];
        _slotOfPage[page] = 0;
        return known == 0 ? Nowhere : known == Many ? Anywhere : known - 1;
    }

    /// <summary>All slots are disarmed. What is known of pages may be more than is so.</summary>
    internal void Clear()
    {
        _count = 0;
        HasOverflowed = false;
    }
}
