using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Hypervisor.Core;
using Hypervisor.Core.Host;

namespace Hypervisor.Cpu.Translation;

/// <summary>Translated code by the host address of the guest's bytes, and the jumps between its blocks.</summary>
/// <remarks>
/// Memory is handed out until it is full, then all is dropped at once. A block that is dropped alone (its bytes were
/// written) leaves its memory unused until then, so that code which still runs in it may run on to its next exit.
/// </remarks>
internal sealed unsafe class TranslationCache : IDisposable
{
    /// <summary>Where the variant is in a key: host addresses have 47 bits.</summary>
    internal const int VariantShift = 48;

    private const int ColdShare = 50; // percent of the memory: measured, blocks need about as much of either

    private const int SlotCount = 1 << 15;
    private const int LinksMax = 1 << 20;
    private const long RecordBytes = 48L << 20;

    private readonly CodeMemory _code;
    private readonly CodeMemory _cold; // of it, what runs rarely
    private readonly byte* _records;
    private readonly BlockLink* _links;
    private readonly FarLink* _far;
    private readonly FarLinkCode* _farCodes;
    private readonly Slot* _slots;
    private readonly TranslatedBlock** _firstInPage;
    private readonly TranslatedBlock** _firstCrossing; // by the page that they reach into
    private readonly long _pageCount;
    private readonly Dictionary<ulong, nint> _byKey = [];
    private long _fixedBytes;
    private long _recordsUsed;
    private int _linkCount;
    private int _farCount;

    internal TranslationCache(long codeBytes, long pageCount, FarLink* far)
    {
        _far = far;
        _farCodes = (FarLinkCode*)HostMemory.MapPrivateMemory((long)FarLink.CountMax * sizeof(FarLinkCode));
        _code = new CodeMemory("translated-code", codeBytes);
        _cold = _code.SplitOff((codeBytes * ColdShare / 100) & ~0xFFFL);
        _records = HostMemory.MapPrivateMemory(RecordBytes);
        _links = (BlockLink*)HostMemory.MapPrivateMemory(LinksMax * sizeof(BlockLink));
        _slots = (Slot*)NativeMemory.AllocZeroed(SlotCount, (nuint)sizeof(Slot));
        _firstInPage = (TranslatedBlock**)NativeMemory.AllocZeroed((nuint)pageCount, (nuint)sizeof(nint));
        _firstCrossing = (TranslatedBlock**)NativeMemory.AllocZeroed((nuint)pageCount, (nuint)sizeof(nint));
        _pageCount = pageCount;
    }

    /// <summary>Grows each time that a block is dropped: who holds on to code looks again.</summary>
    internal int Generation { get; private set; }

    /// <summary>Blocks now.</summary>
    internal int Count => _byKey.Count;

    /// <summary>Bytes of generated code.</summary>
    internal long CodeBytes => _code.UsedBytes + _cold.UsedBytes;

    /// <summary>
    /// Lets <paramref name="emitter"/> append at the end of the code, <paramref name="cold"/> at the end of what runs
    /// rarely; false: one of them is full.
    /// </summary>
    internal bool TryBegin(Emitter emitter, Emitter cold, int codeBytesMax, int recordBytesMax)
    {
        if (_code.FreeBytes < codeBytesMax || _cold.FreeBytes < codeBytesMax
            || RecordBytes - _recordsUsed < recordBytesMax
            || LinksMax - _linkCount < codeBytesMax / 8 || FarLink.CountMax - _farCount < codeBytesMax / 8)
        {
            return false;
        }

        _code.Begin(emitter, codeBytesMax);
        _cold.Begin(cold, codeBytesMax);
        return true;
    }

    /// <summary>Keeps what <paramref name="emitter"/> appended for good, whatever is dropped.</summary>
    internal void EndFixed(Emitter emitter)
    {
        _code.End(emitter);
        _fixedBytes = _code.UsedBytes;
    }

    /// <summary>Keeps what the two emitters appended as the code of <paramref name="block"/>.</summary>
    internal void End(Emitter emitter, Emitter cold, TranslatedBlock* block, long page)
    {
        _code.End(emitter);
        _cold.End(cold);
        block->FirstLink = TranslatedBlock.NoLink;
        block->Page = page;
        block->NextInPage = _firstInPage[page];
        _firstInPage[page] = block;
        _byKey[block->Key] = (nint)block;
        Slot* slot = _slots + SlotIndex(block->Key);
        slot->Key = block->Key;
        slot->Block = block;
    }

    /// <summary>Notes that <paramref name="block"/> ends on the first bytes of <paramref name="page"/>.</summary>
    internal void AddCrossing(TranslatedBlock* block, long page)
    {
        block->NextCrossing = _firstCrossing[page];
        _firstCrossing[page] = block;
    }

    /// <summary>A zeroed record that lives until everything is dropped.</summary>
    internal T* Record<T>()
        where T : unmanaged
    {
        int bytes = (sizeof(T) + 15) & ~15;
        Check.That(RecordBytes - _recordsUsed >= bytes);
        byte* record = _records + _recordsUsed;
        _recordsUsed += bytes;
        new Span<byte>(record, bytes).Clear();
        return (T*)record;
    }

    /// <summary>A number for a jump that may be linked later.</summary>
    internal int NewLink(byte* hole, bool isBackward, bool isCareful = false)
    {
        Check.That(_linkCount < LinksMax);
        _links[_linkCount] = new BlockLink
        {
            Hole = hole,
            IsBackward = isBackward,
            IsCareful = isCareful,
            Next = TranslatedBlock.NoLink,
            Far = TranslatedBlock.NoLink,
        };
        return _linkCount++;
    }

    /// <summary>A number for the code behind a call, whose address is at <paramref name="hole"/>.</summary>
    internal int NewReturn(byte* hole)
    {
        int number = NewLink(hole, isBackward: false);
        _links[number].IsReturn = true;
        return number;
    }

    /// <summary>Says where the jump of link <paramref name="number"/> is.</summary>
    internal void SetHole(int number, byte* hole) => _links[number].Hole = hole;

    /// <summary>Says where link <paramref name="number"/> goes while it is not linked, and points it there.</summary>
    internal void SetStub(int number, byte* stub)
    {
        _links[number].Stub = stub;
        Emitter.Patch(_links[number].Hole, _code.ToExecute, stub);
    }

    /// <summary>The block for <paramref name="key"/>; null: none.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal TranslatedBlock* Find(ulong key)
    {
        Slot* slot = _slots + SlotIndex(key);
        return slot->Key == key ? slot->Block : FindSlow(key);
    }

    /// <summary>Makes link <paramref name="number"/> one to another page, with a <see cref="FarLink"/>.</summary>
    /// <returns>The number of that.</returns>
    internal int MakeFar(int number)
    {
        Check.That(_farCount < FarLink.CountMax);
        _links[number].Far = _farCount;
        return _farCount++;
    }

    /// <summary>Says where the code of a <see cref="FarLink"/> is.</summary>
    internal void SetFarCode(int far, byte* hole, byte* unlinked, byte* forgotten)
    {
        _farCodes[far] = new FarLinkCode { Hole = hole, Unlinked = unlinked, Forgotten = forgotten };
        Emitter.Patch(hole, _code.ToExecute, unlinked);
    }

    /// <summary>See <see cref="BlockLink.IsCareful"/>.</summary>
    internal bool IsCareful(int number) => _links[number].IsCareful;

    /// <summary>
    /// Points link <paramref name="number"/> at <paramref name="target"/>; <paramref name="epoch"/> counts what may
    /// make one to another page wrong. One that is linked already stays as it is.
    /// </summary>
    internal void Link(int number, TranslatedBlock* target, ulong epoch)
    {
        BlockLink* link = _links + number;
        if (link->IsLinked)
        {
            return;
        }

        if (link->Far >= 0)
        {
            _far[link->Far] = new FarLink { Epoch = epoch, Target = 1 - (ulong)target->Indirect };
            FarLinkCode* code = _farCodes + link->Far;
            Emitter.Patch(code->Hole, _code.ToExecute, code->Forgotten);
        }

        link->IsLinked = true;
        link->Next = target->FirstLink;
        target->FirstLink = number;
        byte* entry = link->IsReturn ? target->Indirect : link->IsBackward ? target->Poll : target->Direct;
        Emitter.Patch(link->Hole, _code.ToExecute, entry);
    }

    /// <summary>Drops the blocks of <paramref name="page"/> that lie on any of <paramref name="lines"/>.</summary>
    /// <returns>Lines of the blocks that stay.</returns>
    internal ulong Drop(long page, ulong lines)
    {
        ulong left = DropCrossing(page, lines);
        TranslatedBlock** previous = &_firstInPage[page];
        for (TranslatedBlock* block = *previous; block != null; block = block->NextInPage)
        {
            if ((block->Lines & lines) == 0)
            {
                left |= block->Lines;
                previous = &block->NextInPage;
                continue;
            }

            *previous = block->NextInPage;
            DropBlock(block);
        }

        return left;
    }

    // An instruction has at most 15 bytes: those that reach into a page lie on its first line.
    private ulong DropCrossing(long page, ulong lines)
    {
        TranslatedBlock* block = _firstCrossing[page];
        if (block == null || (lines & 1) == 0)
        {
            return block == null ? 0ul : 1;
        }

        _firstCrossing[page] = null;
        for (; block != null; block = block->NextCrossing)
        {
            if (!block->IsDropped)
            {
                RemoveFromPage(block);
                DropBlock(block);
            }
        }

        return 0;
    }

    // The lists of pages are walked whole: this happens when code at the start of a page is overwritten.
    private void RemoveFromPage(TranslatedBlock* dropped)
    {
        for (TranslatedBlock** previous = &_firstInPage[dropped->Page]; *previous != null;
            previous = &(*previous)->NextInPage)
        {
            if (*previous == dropped)
            {
                *previous = dropped->NextInPage;
                return;
            }
        }
    }

    /// <summary>Drops everything.</summary>
    internal void Clear()
    {
        Generation++;
        NativeMemory.Clear(_slots, (nuint)(SlotCount * sizeof(Slot)));
        NativeMemory.Clear(_firstInPage, (nuint)(_pageCount * sizeof(nint)));
        NativeMemory.Clear(_firstCrossing, (nuint)(_pageCount * sizeof(nint)));
        _byKey.Clear();
        _code.Truncate(_fixedBytes);
        _cold.Clear();
        _recordsUsed = 0;
        _linkCount = 0;
        NativeMemory.Clear(_far, (nuint)(_farCount * sizeof(FarLink)));
        _farCount = 0;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _cold.Dispose();
        _code.Dispose();
        HostMemory.Unmap(_records, RecordBytes);
        HostMemory.Unmap((byte*)_links, LinksMax * sizeof(BlockLink));
        HostMemory.Unmap((byte*)_farCodes, (long)FarLink.CountMax * sizeof(FarLinkCode));
        NativeMemory.Free(_slots);
        NativeMemory.Free(_firstInPage);
        NativeMemory.Free(_firstCrossing);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int SlotIndex(ulong key) => (int)((key * 0x9E37_79B9_7F4A_7C15) >> 49);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private TranslatedBlock* FindSlow(ulong key)
    {
        if (!_byKey.TryGetValue(key, out nint address))
        {
            return null;
        }

        Slot* slot = _slots + SlotIndex(key);
        slot->Key = key;
        slot->Block = (TranslatedBlock*)address;
        return slot->Block;
    }

    // Nobody comes in any more: direct jumps go to their stubs again, and the entry for indirect ones, which the jump
    // cache may still hold, leads out.
    private void DropBlock(TranslatedBlock* block)
    {
        Generation++;
        block->IsDropped = true;
        _byKey.Remove(block->Key);
        Slot* slot = _slots + SlotIndex(block->Key);
        if (slot->Key == block->Key)
        {
            slot->Key = 0;
        }

        for (int number = block->FirstLink; number != TranslatedBlock.NoLink;)
        {
            BlockLink* link = _links + number;
            number = link->Next;
            Unlink(link);
        }

        byte* entry = block->Indirect - _code.ToExecute;
        *entry = 0xE9;
        Emitter.Patch(entry + 1, _code.ToExecute, block->Stale);
    }

    private void Unlink(BlockLink* link)
    {
        link->IsLinked = false;
        if (link->Far < 0)
        {
            Emitter.Patch(link->Hole, _code.ToExecute, link->Stub);
            return;
        }

        _far[link->Far] = default;
        FarLinkCode* code = _farCodes + link->Far;
        Emitter.Patch(code->Hole, _code.ToExecute, code->Unlinked);
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Slot
    {
        internal ulong Key;
        internal TranslatedBlock* Block;
    }
}
