using System;

namespace Hypervisor.Cpu.Translation;

/// <summary>Pages that a jump cache may have entries of, so that INVLPG of a page of data costs nothing.</summary>
/// <remarks>
/// A table by the lowest bits of the page's number. Two pages in one slot make it match every page of the slot until
/// the next <see cref="Clear"/>, which is a new generation and so costs nothing either.
/// </remarks>
internal sealed class JumpPages
{
    private const int SlotCount = 1 << 14;
    private const int PageShift = 12;
    private const int GenerationShift = 36; // addresses have 48 bits
    private const ulong PageMask = (1ul << GenerationShift) - 1;
    private const ulong AnyPage = PageMask; // the last page below address 0, where no code is
    private const ulong GenerationMax = ulong.MaxValue >> GenerationShift;

    private readonly ulong[] _slots = new ulong[SlotCount];
    private ulong _generation = 1;

    /// <summary>Enters the page of <paramref name="linear"/>.</summary>
    internal void Add(ulong linear)
    {
        ulong page = (linear >> PageShift) & PageMask;
        ref ulong slot = ref _slots[page % SlotCount];
        ulong entry = Entry(page);
        if (slot != entry)
        {
            slot = slot >> GenerationShift == _generation ? Entry(AnyPage) : entry;
        }
    }

    /// <summary>Whether the page of <paramref name="linear"/> may have been entered.</summary>
    internal bool MayHave(ulong linear)
    {
        ulong page = (linear >> PageShift) & PageMask;
        ulong slot = _slots[page % SlotCount];
        return slot == Entry(page) || slot == Entry(AnyPage);
    }

    /// <summary>Forgets all pages.</summary>
    internal void Clear()
    {
        if (_generation == GenerationMax)
        {
            Array.Clear(_slots);
            _generation = 0;
        }

        _generation++;
    }

    private ulong Entry(ulong page) => (_generation << GenerationShift) | page;
}
