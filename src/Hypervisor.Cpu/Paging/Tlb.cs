using System;
using System.Runtime.InteropServices;

namespace Hypervisor.Cpu.Paging;

/// <summary>
/// The software TLBs of one vCPU: one table per kind of privilege, so that a change of CPL flushes nothing.
/// </summary>
internal sealed unsafe class Tlb : IDisposable
{
    /// <summary>Entries per table.</summary>
    internal const int EntryCount = 1024;

    private const int IndexMask = EntryCount - 1;
    private const int TotalEntries = EntryCount * TlbMode.Count;
    private const int LargeFilterBits = 4096;

    private readonly TlbEntry* _entries;
    private readonly bool[] _isGlobal = new bool[TotalEntries];

    // Entries that a flush without global pages must visit; past its end the whole table is scanned.
    private readonly ushort[] _filled = new ushort[TotalEntries];
    private int _filledCount;

    // Which 2 MiB regions have entries that come from large pages: INVLPG of one address must drop them all.
    private readonly ulong[] _largeRegions = new ulong[LargeFilterBits / 64];
    private bool _hasLarge;
    private bool _hasHuge;

    internal Tlb()
    {
        _entries = (TlbEntry*)NativeMemory.AlignedAlloc((nuint)(TotalEntries * sizeof(TlbEntry)), 64);
        FlushAll();
    }

    /// <summary>The table for <paramref name="mode"/>.</summary>
    internal TlbEntry* Table(int mode) => _entries + (mode * EntryCount);

    /// <summary>The slot of <paramref name="linear"/> in the table of <paramref name="mode"/>.</summary>
    internal TlbEntry* Slot(int mode, ulong linear) => Table(mode) + ((linear >> 12) & IndexMask);

    /// <summary>Enters a translation. A tag stays unarmed where the flag is false.</summary>
    internal void Fill(
        int mode, ulong linear, byte* hostPage, in PageTranslation page, bool canRead, bool canWrite, bool canExecute)
    {
        TlbEntry* entry = Slot(mode, linear);
        ulong tag = linear & ~0xFFFul;
        entry->ReadTag = canRead ? tag : TlbEntry.NoMatch;
        entry->WriteTag = canWrite ? tag : TlbEntry.NoMatch;
        entry->ExecuteTag = canExecute ? tag : TlbEntry.NoMatch;
        entry->Addend = (ulong)hostPage - tag;

        int index = (int)(entry - _entries);
        _isGlobal[index] = page.IsGlobal;
        if (!page.IsGlobal && _filledCount < TotalEntries)
        {
            _filled[_filledCount++] = (ushort)index;
        }

        if (page.PageShift > 12)
        {
            _hasLarge = true;
            _hasHuge |= page.PageShift > 22;
            ulong bit = (linear >> 21) % LargeFilterBits;
            _largeRegions[bit / 64] |= 1ul << (int)(bit % 64);
        }
    }

    /// <summary>Drops every entry.</summary>
    internal void FlushAll()
    {
        new Span<byte>(_entries, TotalEntries * sizeof(TlbEntry)).Fill(0xFF);
        _filledCount = 0;
        Array.Clear(_largeRegions);
        _hasLarge = false;
        _hasHuge = false;
    }

    /// <summary>Drops every entry that is not global. Spec: SDM volume 3, 4.10.4.1.</summary>
    internal void FlushNonGlobal()
    {
        if (_filledCount == TotalEntries)
        {
            FlushAll(); // the list overflowed; flushing more than asked is always allowed
            return;
        }

        for (int i = 0; i < _filledCount; i++)
        {
            int index = _filled[i];
            if (!_isGlobal[index])
            {
                Invalidate(_entries + index);
            }
        }

        _filledCount = 0;
    }

    /// <summary>Drops the entries of the page that holds <paramref name="linear"/>, global or not.</summary>
    internal void FlushPage(ulong linear)
    {
        ulong bit = (linear >> 21) % LargeFilterBits;
        if (_hasLarge && (_hasHuge || (_largeRegions[bit / 64] & (1ul << (int)(bit % 64))) != 0))
        {
            FlushAll();
            return;
        }

        for (int mode = 0; mode < TlbMode.Count; mode++)
        {
            Invalidate(Slot(mode, linear));
        }
    }

    /// <summary>Sends the next store to every page through the slow path again. At a cut.</summary>
    internal void RearmWrites()
    {
        for (int i = 0; i < TotalEntries; i++)
        {
            _entries[i].WriteTag = TlbEntry.NoMatch;
        }
    }

    /// <summary>
    /// Sends the next store to the page at host address <paramref name="hostPage"/> through the slow path.
    /// </summary>
    internal void RearmPage(byte* hostPage)
    {
        for (int i = 0; i < TotalEntries; i++)
        {
            TlbEntry* entry = _entries + i;
            if (entry->WriteTag != TlbEntry.NoMatch && entry->WriteTag + entry->Addend == (ulong)hostPage)
            {
                entry->WriteTag = TlbEntry.NoMatch;
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => NativeMemory.AlignedFree(_entries);

    private static void Invalidate(TlbEntry* entry)
    {
        entry->ReadTag = TlbEntry.NoMatch;
        entry->WriteTag = TlbEntry.NoMatch;
        entry->ExecuteTag = TlbEntry.NoMatch;
    }
}
