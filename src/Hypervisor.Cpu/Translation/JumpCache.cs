using System;
using Hypervisor.Cpu.Paging;

namespace Hypervisor.Cpu.Translation;

/// <summary>
/// Where generated code looks up the target of a jump that leaves its page or is not known before it runs: one table
/// per privilege, from the linear address of the target to its code.
/// </summary>
/// <remarks>
/// An entry is right only while its linear address is mapped as it was, so it goes with the TLB's. Tags are negated
/// addresses: their sum with the target is 0 on a hit. In slot 0 an unused tag is of an address of another slot, in all
/// others it is 0, an address of slot 0. Code of 16 and 32 bits has a cache of its own, with the base of CS above the
/// address: the same code in another segment is another target.
/// </remarks>
internal sealed unsafe class JumpCache
{
    /// <summary>Slots per table.</summary>
    internal const int SlotCount = 1 << 14;

    /// <summary>
    /// Entries per slot: the second, as many entries behind the first as there are slots, holds what the first held
    /// before, and is looked at only when the first does not match.
    /// </summary>
    internal const int Ways = 2;

    /// <summary>Size of an entry in words of 8 bytes: tag, code.</summary>
    internal const int Words = 2;

    /// <summary>Distance of the code pointer from its tag.</summary>
    internal const int CodeAt = sizeof(ulong);

    /// <summary>Size of a table.</summary>
    internal const int TableBytes = Ways * SlotCount * Words * sizeof(ulong);

    /// <summary>Size of all tables.</summary>
    internal const int TotalBytes = TranslatedModes * TableBytes;

    /// <summary>
    /// Bits of address + (address rotated right by <see cref="FoldBits"/>) that choose the slot: functions start on 16
    /// bytes, so their lowest bits alone would leave most slots empty; returns lie anywhere.
    /// </summary>
    internal const ulong SlotBits = SlotCount - 1;

    /// <summary>See <see cref="SlotBits"/>.</summary>
    internal const int FoldBits = 4;

    /// <summary>How many epochs there are before they repeat.</summary>
    internal const ulong EpochCount = LowEpochs << (64 - HighEpochShift);

    private const int TranslatedModes = 3;
    private const ulong UnusedInSlot0 = unchecked((ulong)-16L);
    private const int PageShift = 12;
    private const int FewEntries = 1024;
    private const ulong LowEpochs = 1 << PageShift;
    private const int HighEpochShift = 48;

    private readonly byte* _tables;
    private readonly ulong* _epochs;
    private readonly ulong[] _forgotten = new ulong[TranslatedModes];
    private readonly byte* _returns;
    private readonly nint[] _unknownReturns = new nint[TranslatedModes];
    private readonly ushort[][] _filled = new ushort[TranslatedModes][];
    private readonly int[] _filledCount = new int[TranslatedModes];

    private readonly JumpPages[] _pages = [new(), new(), new()];
    private readonly bool _isLegacy;
    private bool _hasPrivateSupervisorCode;
    private bool _isEmpty; // of legacy code, and none of it has run since that was so

    /// <param name="tables">Where the tables lie: <see cref="TotalBytes"/> bytes, owned by the caller.</param>
    /// <param name="epochs">One per mode, see <see cref="State.EngineState.JumpEpochs"/>.</param>
    /// <param name="returns">The tables of the <see cref="ReturnCache"/>.</param>
    /// <param name="isLegacy">Whether the base of CS is above the addresses.</param>
    internal JumpCache(byte* tables, ulong* epochs, byte* returns, bool isLegacy = false)
    {
        _isLegacy = isLegacy;
        _returns = returns;
        _tables = tables;
        _epochs = epochs;
        for (int mode = 0; mode < TranslatedModes; mode++)
        {
            _filled[mode] = new ushort[FewEntries];
            _filledCount[mode] = FewEntries;
        }

        FlushAll();
    }

    /// <summary>
    /// Whether code that uses this cache runs now. Of legacy code only: while none runs, to flush it again costs
    /// nothing.
    /// </summary>
    internal bool IsRunning { get; set; }

    /// <summary>
    /// Says what code a return of a mode goes to that finds an unused entry: before code of the mode runs.
    /// </summary>
    internal void SetUnknownReturn(int mode, byte* code)
    {
        _unknownReturns[mode] = (nint)code;
        _isEmpty = false;
        Flush(mode);
    }

    /// <summary>
    /// Another value each time that targets of a mode were forgotten: what was known before may be wrong.
    /// </summary>
    /// <remarks>
    /// No two epochs are as far apart as two pages are, so the difference of an epoch and a linear page address tells
    /// both: it has the bits that such an address lacks, 0 to 11 and 48 to 63. No difference is 0, which a
    /// <see cref="FarLink"/> says that knows nothing.
    /// </remarks>
    internal ulong Epoch(int mode) => 1 - _epochs[mode];

    /// <summary>Called when epochs begin to repeat: nobody may know an old one after that.</summary>
    internal Action? OnRepeat { get; set; }

    /// <summary>Enters a target.</summary>
    /// <param name="mode">TlbMode of the code.</param>
    /// <param name="rip">Linear address.</param>
    /// <param name="code">Its entry for indirect jumps.</param>
    /// <param name="isGlobal">Whether its page is global.</param>
    internal void Fill(int mode, ulong rip, byte* code, bool isGlobal)
    {
        int slot = SlotOf(rip);
        _isEmpty = false;
        Span<Entry> entries = Entries(mode);
        if (entries[slot].Tag != 0 - rip)
        {
            entries[slot + SlotCount] = entries[slot];
        }

        entries[slot] = new Entry(0 - rip, (ulong)code);
        int count = _filledCount[mode];
        if (count < FewEntries)
        {
            _filled[mode][count] = (ushort)slot;
            _filledCount[mode] = count + 1;
        }

        _hasPrivateSupervisorCode |= !isGlobal && mode != TlbMode.User;
        _pages[mode].Add(LinearOf(rip));
    }

    /// <summary>Drops every entry.</summary>
    internal void FlushAll()
    {
        if (_isEmpty)
        {
            return;
        }

        for (int mode = 0; mode < TranslatedModes; mode++)
        {
            Flush(mode);
        }

        _hasPrivateSupervisorCode = false;
        _isEmpty = _isLegacy && !IsRunning;
    }

    /// <summary>Drops what a switch of the address space changes.</summary>
    internal void FlushNonGlobal()
    {
        // User pages may be global too; dropping more than asked is always allowed.
        if (_hasPrivateSupervisorCode || (_isLegacy && !IsRunning))
        {
            FlushAll();
        }
        else
        {
            Flush(TlbMode.User);
        }
    }

    /// <summary>Drops the entries of the page that holds <paramref name="linear"/>.</summary>
    internal void FlushPage(ulong linear)
    {
        ulong page = linear >> PageShift;
        for (int mode = 0; mode < TranslatedModes; mode++)
        {
            if (!_pages[mode].MayHave(linear))
            {
                continue;
            }

            Forget(mode);
            Span<Entry> entries = Entries(mode);
            for (int i = 0; i < entries.Length; i++)
            {
                if (LinearOf(0 - entries[i].Tag) >> PageShift == page)
                {
                    entries[i] = Unused(i);
                }
            }
        }
    }

    private ulong LinearOf(ulong target) => _isLegacy ? (uint)target : target;

    private static Entry Unused(int index) => new(index % SlotCount == 0 ? UnusedInSlot0 : 0, 0);

    private static int SlotOf(ulong rip)
        => (int)(rip + ulong.RotateRight(rip, FoldBits)) & (SlotCount - 1);

    /// <summary>Drops the entries of a mode: what its code takes for granted has changed.</summary>
    internal void Flush(int mode)
    {
        Span<Entry> entries = Entries(mode);
        int count = _filledCount[mode];
        if (count == FewEntries)
        {
            entries.Clear();
        }
        else
        {
            foreach (ushort slot in _filled[mode].AsSpan(0, count))
            {
                entries[slot] = default;
                entries[slot + SlotCount] = default;
            }
        }

        entries[0] = Unused(0);
        entries[SlotCount] = Unused(SlotCount);
        _filledCount[mode] = 0;
        _pages[mode].Clear();
        Forget(mode);
    }

    /// <summary>Number of the epoch behind <paramref name="forgotten"/>. Never 0: that is no epoch.</summary>
    internal static ulong Next(ulong forgotten) => forgotten == EpochCount - 1 ? 1 : forgotten + 1;

    /// <summary>An epoch by its number: of the bits that linear page addresses lack, see <see cref="Epoch"/>.</summary>
    internal static ulong EpochOf(ulong forgotten)
        => (forgotten % LowEpochs) | ((forgotten / LowEpochs) << HighEpochShift);

    // Jumps and returns that know their target must not be believed.
    private void Forget(int mode)
    {
        ulong next = Next(_forgotten[mode]);
        if (next < _forgotten[mode])
        {
            OnRepeat?.Invoke();
        }

        _forgotten[mode] = next;
        _epochs[mode] = 1 - EpochOf(next);

        ReturnCache.Flush(_returns, mode, _unknownReturns[mode]);
    }

    private Span<Entry> Entries(int mode) => new(_tables + (mode * TableBytes), Ways * SlotCount);

    private readonly record struct Entry(ulong Tag, ulong Code);
}
