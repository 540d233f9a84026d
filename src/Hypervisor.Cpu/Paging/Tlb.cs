using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Hypervisor.Core.Memory;
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
    private const int PageShift = 12;
    private const int LargeRegionsMax = 1024;
    private const int LargeRegionShift = 21;

    // A table whose tags match nothing.
    private static readonly byte[] s_unused = MakeUnused();

    private readonly byte* _tables;
    private readonly byte* _ram;
    private readonly ArmedSlots _armed;

    // Whether both entries of a slot are of global pages: generated code exchanges them.
    private readonly bool[] _isGlobal = new bool[TotalSlots];
    private readonly bool[] _hasSecond = new bool[TotalSlots];
    private readonly bool[] _hasAnySecond = new bool[TlbMode.Count]; // by mode

    // Slots that a flush without global pages must visit; past its end the whole table is scanned.
    private readonly ushort[] _filled = new ushort[TotalSlots];
    private int _filledCount;

    // 2 MiB regions that have entries that come from large pages: INVLPG of one address must drop them all.
    private readonly HashSet<ulong> _largeRegions = new(LargeRegionsMax);
    private bool _isAnyLarge; // too many, or a page of 1 GiB: every address counts

    /// <param name="tables">Where the tables lie: <see cref="TotalBytes"/> bytes, owned by the caller.</param>
    /// <param name="jumps">Known jump targets.</param>
    /// <param name="legacyJumps">Those in code of 16 and 32 bits.</param>
    /// <param name="ram">What the pages are of.</param>
    internal Tlb(byte* tables, JumpCache jumps, JumpCache legacyJumps, GuestRam ram)
    {
        Array.Fill(_hasAnySecond, true); // they are not set up yet
        _ram = ram.Base;
        _armed = new ArmedSlots(ram.PageCount);
        _tables = tables;
        Jumps = jumps;
        LegacyJumps = legacyJumps;
        FlushAll();
    }

    /// <summary>Where generated code finds jump targets.</summary>
    internal JumpCache Jumps { get; }

    /// <summary>Where generated code of 16 and 32 bits finds them.</summary>
    internal JumpCache LegacyJumps { get; }

    /// <summary>The table for <paramref name="mode"/>.</summary>
    internal ulong* Table(int mode) => (ulong*)(_tables + (mode * TlbEntry.TableBytes));

    /// <summary>The slot of <paramref name="linear"/> in the table of <paramref name="mode"/>.</summary>
    internal TlbEntry Slot(int mode, ulong linear) => TlbEntry.Of(Table(mode), linear);

    /// <summary>Whether the entry that <paramref name="linear"/> was just found in is of a global page.</summary>
    internal bool IsGlobal(int mode, ulong linear)
        => _isGlobal[(mode * TlbEntry.SlotCount) + TlbEntry.SlotOf(linear)];

    /// <summary>Enters a translation. A tag stays unarmed where the flag is false.</summary>
    internal void Fill(
        int mode, ulong linear, byte* hostPage, in PageTranslation page, bool canRead, bool canWrite, bool canExecute)
    {
        int slot = TlbEntry.SlotOf(linear);
        TlbEntry entry = Slot(mode, linear);
        ulong tag = TlbEntry.TagOf(linear);
        ulong unused = TlbEntry.Unused(slot);
        int index = (mode * TlbEntry.SlotCount) + slot;
        if (entry.ReadTag != tag && entry.ReadTag != unused)
        {
            TlbEntry second = Second(mode, slot);
            second.ReadTag = entry.ReadTag;
            second.WriteTag = entry.WriteTag;
            second.Addend = entry.Addend;
            _hasSecond[index] = true;
            _hasAnySecond[mode] = true;
        }

        entry.ReadTag = canRead ? tag : unused;
        entry.WriteTag = canWrite ? tag : unused;
        entry.ExecuteTag = canExecute ? tag : unused;
        entry.Addend = (ulong)hostPage + tag - TlbEntry.PageBytes;

        if (canWrite)
        {
            _armed.Add((hostPage - _ram) >> PageShift, index);
        }

        _isGlobal[index] = page.IsGlobal && (!_hasSecond[index] || _isGlobal[index]);
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
            int bytes = _hasAnySecond[mode] ? TlbEntry.TableBytes : TlbEntry.SecondAt;
            s_unused.AsSpan(0, bytes).CopyTo(new Span<byte>(Table(mode), bytes));
            _hasAnySecond[mode] = false;
        }

        Array.Clear(_hasSecond);

        _filledCount = 0;
        _largeRegions.Clear();
        _isAnyLarge = false;
        Jumps.FlushAll();
        LegacyJumps.FlushAll();
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
        LegacyJumps.FlushNonGlobal();
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
        LegacyJumps.FlushPage(linear);
    }

    /// <summary>Stores to the page of <paramref name="linear"/>, at a host address, may go fast from now on.</summary>
    internal void ArmWrite(int mode, ulong linear, byte* host)
    {
        TlbEntry entry = Slot(mode, linear);
        ulong tag = TlbEntry.TagOf(linear);
        if (entry.WriteTag != tag)
        {
            entry.WriteTag = tag;
            _armed.Add((host - _ram) >> PageShift, (mode * TlbEntry.SlotCount) + TlbEntry.SlotOf(linear));
        }
    }

    /// <summary>Sends the next store to every page through the slow path again. At a cut.</summary>
    internal void RearmWrites()
    {
        if (_armed.HasOverflowed)
        {
            for (int slot = 0; slot < TotalSlots; slot++)
            {
                Disarm(slot);
            }
        }
        else
        {
            foreach (ushort slot in _armed.Slots)
            {
                Disarm(slot);
            }
        }

        _armed.Clear();
    }

    /// <summary>
    /// Sends the next store to the page at host address <paramref name="hostPage"/> through the slow path.
    /// </summary>
    internal void RearmPage(byte* hostPage)
    {
        int armed = _armed.Take((hostPage - _ram) >> PageShift);
        if (armed >= 0)
        {
            (int mode, int slot) = (armed / TlbEntry.SlotCount, armed % TlbEntry.SlotCount);
            Disarm(Table(mode), hostPage, slot, slot + 1);
            Disarm(SecondTable(mode), hostPage, slot, slot + 1);
        }

        for (int mode = 0; armed == ArmedSlots.Anywhere && mode < TlbMode.Count; mode++)
        {
            Disarm(Table(mode), hostPage, 0, TlbEntry.SlotCount);
            if (_hasAnySecond[mode])
            {
                Disarm(SecondTable(mode), hostPage, 0, TlbEntry.SlotCount);
            }
        }
    }

    private void Disarm(int index)
    {
        (int mode, int slot) = (index / TlbEntry.SlotCount, index % TlbEntry.SlotCount);
        First(mode, slot).WriteTag = TlbEntry.Unused(slot);
        Second(mode, slot).WriteTag = TlbEntry.Unused(slot);
    }

    private static void Disarm(ulong* table, byte* hostPage, int firstSlot, int endSlot)
    {
        ulong match = (ulong)hostPage - TlbEntry.PageBytes;
        for (int slot = firstSlot; slot < endSlot; slot++)
        {
            var entry = new TlbEntry(table + slot);
            if (entry.Addend - entry.WriteTag == match)
            {
                entry.WriteTag = TlbEntry.Unused(slot);
            }
        }
    }

    private TlbEntry First(int mode, int slot) => new(Table(mode) + slot);

    private TlbEntry Second(int mode, int slot) => new(SecondTable(mode) + slot);

    private ulong* SecondTable(int mode) => Table(mode) + (TlbEntry.SecondAt / sizeof(ulong));

    private static byte[] MakeUnused()
    {
        byte[] table = new byte[TlbEntry.TableBytes];
        Span<ulong> words = MemoryMarshal.Cast<byte, ulong>(table.AsSpan());
        for (int slot = 0; slot < TlbEntry.SlotCount; slot++)
        {
            ulong unused = TlbEntry.Unused(slot);
            words[slot] = unused;
            words[(TlbEntry.WriteAt / sizeof(ulong)) + slot] = unused;
            words[(TlbEntry.ExecuteAt / sizeof(ulong)) + slot] = unused;
            words[(TlbEntry.SecondAt / sizeof(ulong)) + slot] = unused;
            words[((TlbEntry.SecondAt + TlbEntry.WriteAt) / sizeof(ulong)) + slot] = unused;
        }

        return table;
    }

    private void Invalidate(int mode, int slot)
    {
        ulong unused = TlbEntry.Unused(slot);
        TlbEntry first = First(mode, slot);
        first.ReadTag = unused;
        first.WriteTag = unused;
        first.ExecuteTag = unused;
        int index = (mode * TlbEntry.SlotCount) + slot;
        if (_hasSecond[index])
        {
            _hasSecond[index] = false;
            TlbEntry second = Second(mode, slot);
            second.ReadTag = unused;
            second.WriteTag = unused;
        }
    }
}
