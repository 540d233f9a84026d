using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Hypervisor.Cpu.Translation;

namespace Hypervisor.Cpu.Paging;

/// <summary>
/// The software TLBs of one vCPU: one table per kind of privilege, so that a change of CPL flushes nothing.
/// </summary>
/// <remarks>What is known of linear addresses otherwise (<see cref="JumpCache"/>) is flushed with them.</remarks>
internal sealed unsafe class Tlb
{
    /// <summary>Size of all tables.</summary>
    internal const int TotalBytes = TlbMode.Count * TlbEntry.TableBytes;

    private const int TotalSlots = TlbEntry.SlotCount * TlbMode.Count;
    private const int LargeRegionsMax = 1024;
    private const int LargeRegionShift = 21;

    // A table whose tags match nothing.
    private static readonly byte[] s_unused = MakeUnused();

    private readonly byte* _tables;
    private readonly bool[] _isGlobal = new bool[TotalSlots];

    // Slots that a flush without global pages must visit; past its end the whole table is scanned.
    private readonly ushort[] _filled = new ushort[TotalSlots];
    private int _filledCount;

    // 2 MiB regions that have entries that come from large pages: INVLPG of one address must drop them all.
    private readonly HashSet<ulong> _largeRegions = new(LargeRegionsMax);
    private bool _isAnyLarge; // too many, or a page of 1 GiB: every address counts

    /// <param name="tables">Where the tables lie: <see cref="TotalBytes"/> bytes, owned by the caller.</param>
    /// <param name="jumps">Known jump targets.</param>
    internal Tlb(byte* tables, JumpCache jumps)
    {
        _tables = tables;
        Jumps = jumps;
        FlushAll();
    }

    /// <summary>Where generated code finds jump targets.</summary>
    internal JumpCache Jumps { get; }

    /// <summary>The table for <paramref name="mode"/>.</summary>
    internal TlbEntry* Table(int mode) => (TlbEntry*)(_tables + (mode * TlbEntry.TableBytes));

    /// <summary>The slot of <paramref name="linear"/> in the table of <paramref name="mode"/>.</summary>
    internal TlbEntry* Slot(int mode, ulong linear) => TlbEntry.Of(Table(mode), linear);

    /// <summary>Whether the entry that <paramref name="linear"/> was just found in is of a global page.</summary>
    internal bool IsGlobal(int mode, ulong linear)
        => _isGlobal[(mode * TlbEntry.SlotCount) + TlbEntry.SlotOf(linear)];

    /// <summary>Enters a translation. A tag stays unarmed where the flag is false.</summary>
    internal void Fill(
        int mode, ulong linear, byte* hostPage, in PageTranslation page, bool canRead, bool canWrite, bool canExecute)
    {
        int slot = TlbEntry.SlotOf(linear);
        TlbEntry* entry = Slot(mode, linear);
        ulong tag = TlbEntry.TagOf(linear);
        ulong unused = TlbEntry.Unused(slot);
        entry->ReadTag = canRead ? tag : unused;
        entry->WriteTag = canWrite ? tag : unused;
        *TlbEntry.ExecuteTagOf(Table(mode), linear) = canExecute ? tag : unused;
        entry->Addend = (ulong)hostPage + tag - TlbEntry.PageBytes;

        int index = (mode * TlbEntry.SlotCount) + slot;
        _isGlobal[index] = page.IsGlobal;
        if (!page.IsGlobal && _filledCount < TotalSlots)
        {
            _filled[_filledCount++] = (ushort)index;
        }

        if (page.PageShift > 12 && !_isAnyLarge && _largeRegions.Add(linear >> LargeRegionShift))
        {
            // A 4 MiB page has its two halves entered one by one, as they are used; either drops both.
            _ = page.PageShift == 22 && _largeRegions.Add((linear >> LargeRegionShift) ^ 1);
            _isAnyLarge = page.PageShift > 22 || _largeRegions.Count >= LargeRegionsMax - 1;
        }
    }

    /// <summary>Drops every entry.</summary>
    internal void FlushAll()
    {
        for (int mode = 0; mode < TlbMode.Count; mode++)
        {
            s_unused.CopyTo(new Span<byte>(Table(mode), TlbEntry.TableBytes));
        }

        _filledCount = 0;
        _largeRegions.Clear();
        _isAnyLarge = false;
        Jumps.FlushAll();
    }

    /// <summary>Drops every entry that is not global. Spec: SDM volume 3, 4.10.4.1.</summary>
    internal void FlushNonGlobal()
    {
        if (_filledCount == TotalSlots)
        {
            FlushAll(); // the list overflowed; flushing more than asked is always allowed
            return;
        }

        for (int i = 0; i < _filledCount; i++)
        {
            int index = _filled[i];
            if (!_isGlobal[index])
            {
                Invalidate(index / TlbEntry.SlotCount, index % TlbEntry.SlotCount);
            }
        }

        _filledCount = 0;
        Jumps.FlushNonGlobal();
    }

    /// <summary>Drops the entries of the page that holds <paramref name="linear"/>, global or not.</summary>
    internal void FlushPage(ulong linear)
    {
        if (_isAnyLarge || _largeRegions.Contains(linear >> LargeRegionShift))
        {
            FlushAll();
            return;
        }

        for (int mode = 0; mode < TlbMode.Count; mode++)
        {
            Invalidate(mode, TlbEntry.SlotOf(linear));
        }

        Jumps.FlushPage(linear);
    }

    /// <summary>Sends the next store to every page through the slow path again. At a cut.</summary>
    internal void RearmWrites()
    {
        for (int mode = 0; mode < TlbMode.Count; mode++)
        {
            TlbEntry* table = Table(mode);
            for (int slot = 0; slot < TlbEntry.SlotCount; slot++)
            {
                table[slot].WriteTag = TlbEntry.Unused(slot);
            }
        }
    }

    /// <summary>
    /// Sends the next store to the page at host address <paramref name="hostPage"/> through the slow path.
    /// </summary>
    internal void RearmPage(byte* hostPage)
    {
        for (int mode = 0; mode < TlbMode.Count; mode++)
        {
            TlbEntry* table = Table(mode);
            for (int slot = 0; slot < TlbEntry.SlotCount; slot++)
            {
                if (table[slot].Addend - table[slot].WriteTag + TlbEntry.PageBytes == (ulong)hostPage)
                {
                    table[slot].WriteTag = TlbEntry.Unused(slot);
                }
            }
        }
    }

    private static byte[] MakeUnused()
    {
        byte[] table = new byte[TlbEntry.TableBytes];
        Span<ulong> words = MemoryMarshal.Cast<byte, ulong>(table.AsSpan());
        for (int slot = 0; slot < TlbEntry.SlotCount; slot++)
        {
            ulong unused = TlbEntry.Unused(slot);
            words[slot * TlbEntry.Words] = unused;
            words[(slot * TlbEntry.Words) + 1] = unused;
            words[(TlbEntry.SlotCount * TlbEntry.Words) + slot] = unused;
        }

        return table;
    }

    private void Invalidate(int mode, int slot)
    {
        TlbEntry* table = Table(mode);
        ulong unused = TlbEntry.Unused(slot);
        table[slot].ReadTag = unused;
        table[slot].WriteTag = unused;
        ((ulong*)((byte*)table + TlbEntry.ExecuteAt))[slot] = unused;
    }
}
