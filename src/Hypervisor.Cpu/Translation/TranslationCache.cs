using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Hypervisor.Core;
using Hypervisor.Core.Host;

namespace Hypervisor.Cpu.Translation;

/// <summary>Translated code by the host address of the guest's bytes, and the jumps between its blocks.</summary>
/// <remarks>
/// Memory is handed out segment by segment, round and round: the oldest one makes room, so that a program larger than
/// the cache loses a little of its code at a time. A block that is dropped alone (its bytes were written) leaves its
/// memory unused until then, so that code which still runs in it may run on to its next exit.
/// </remarks>
internal sealed unsafe partial class TranslationCache : IDisposable
{
    /// <summary>Where the variant is in a key: host addresses have 47 bits.</summary>
    internal const int VariantShift = 48;

    private const int ColdShare = 50; // percent of the memory: measured, blocks need about as much of either

    private const int SlotCount = 1 << 15;
    private const int LinksMax = 3 << 18;
    private const long RecordBytes = 48L << 20;
    private const long SegmentBytesMin = 2L << 20; // so that what a block may need at most is little of it
    private const int SegmentsMax = 64;            // evicting one took 2.3 ms at most (gcc, 64 MiB)
    private const int SegmentsMin = 4;

    private readonly CodeMemory _code;
    private readonly CacheSegment[] _segments;
    private readonly long _toExecute; // from where code is written to where it runs
    private readonly byte* _records;
    private readonly BlockLink* _links;
    private readonly FarLink* _far;
    private readonly FarLinkCode* _farCodes;
    private readonly Slot* _slots;
    private readonly TranslatedBlock** _firstInPage;
    private readonly TranslatedBlock** _firstCrossing; // by the page that they reach into
    private readonly long _pageCount;
    private readonly Dictionary<ulong, nint> _byKey = [];
    private CacheSegment _segment; // the one that is being filled
    private int _segmentIndex;

    internal TranslationCache(long codeBytes, long pageCount, FarLink* far)
    {
        _far = far;
        _farCodes = (FarLinkCode*)HostMemory.MapPrivateMemory((long)FarLink.CountMax * sizeof(FarLinkCode));
        _records = HostMemory.MapPrivateMemory(RecordBytes);
        _code = new CodeMemory(codeBytes);
        _toExecute = _code.ToExecute;
        _segments = Divide(codeBytes);
        _segment = _segments[0];
        _links = (BlockLink*)HostMemory.MapPrivateMemory(LinksMax * sizeof(BlockLink));
        _slots = (Slot*)NativeMemory.AllocZeroed(SlotCount, (nuint)sizeof(Slot));
        _firstInPage = (TranslatedBlock**)NativeMemory.AllocZeroed((nuint)pageCount, (nuint)sizeof(nint));
        _firstCrossing = (TranslatedBlock**)NativeMemory.AllocZeroed((nuint)pageCount, (nuint)sizeof(nint));
        _pageCount = pageCount;
    }

    /// <summary>Memory that it may use in all, with that much for code.</summary>
    internal static long TotalBytes(long codeBytes) => codeBytes + RecordBytes + ((long)LinksMax * sizeof(BlockLink))
        + ((long)FarLink.CountMax * sizeof(FarLinkCode)) + (SlotCount * sizeof(Slot));

    /// <summary>Grows each time that a block is dropped: who holds on to code looks again.</summary>
    internal int Generation { get; private set; }

    /// <summary>Blocks now.</summary>
    internal int Count => _byKey.Count;

    /// <summary>Bytes of generated code.</summary>
    internal long CodeBytes
    {
        get
        {
            long bytes = 0;
            foreach (CacheSegment segment in _segments)
            {
                bytes += segment.Code.UsedBytes + segment.Cold.UsedBytes;
            }

            return bytes;
        }
    }

    /// <summary>
    /// Lets <paramref name="emitter"/> append at the end of the code, <paramref name="cold"/> at the end of what runs
    /// rarely; false: there is no room, call <see cref="MoveOn"/>.
    /// </summary>
    internal bool TryBegin(Emitter emitter, Emitter cold, in BlockBounds bounds)
    {
        if (!_segment.HasRoom(bounds))
        {
            return false;
        }

        _segment.Code.Begin(emitter, bounds.CodeBytes);
        _segment.Cold.Begin(cold, bounds.CodeBytes);
        return true;
    }

    /// <summary>Keeps what <paramref name="emitter"/> appended for good, whatever is dropped.</summary>
    internal void EndFixed(Emitter emitter)
    {
        _segment.Code.End(emitter);
        _segment.KeepFixed();
    }

    /// <summary>Goes on in the next segment, the oldest one. Not while generated code calls.</summary>
    /// <returns>Whether blocks were dropped: then no jump cache may lead to code any more.</returns>
    internal bool MoveOn()
    {
        _segmentIndex = (_segmentIndex + 1) % _segments.Length;
        _segment = _segments[_segmentIndex];
        if (_segment.LastBlock == null)
        {
            return false;
        }

        Evict(_segment);
        return true;
    }

    /// <summary>Keeps what the two emitters appended as the code of <paramref name="block"/>.</summary>
    internal void End(Emitter emitter, Emitter cold, TranslatedBlock* block, long page)
    {
        _segment.Code.End(emitter);
        _segment.Cold.End(cold);
        block->NextInSegment = _segment.LastBlock;
        _segment.LastBlock = block;
        block->FirstLink = TranslatedBlock.NoLink;
        block->Page = page;
        AddToPage(block);
        _byKey[block->Key] = (nint)block;
        Slot* slot = _slots + SlotIndex(block->Key);
        slot->Key = block->Key;
        slot->Block = block;
    }

    /// <summary>Notes that <paramref name="block"/> ends on the first bytes of <paramref name="page"/>.</summary>
    internal void AddCrossing(TranslatedBlock* block, long page)
    {
        block->IsCrossing = true;
        block->CrossedPage = page;
        block->NextCrossing = _firstCrossing[page];
        _firstCrossing[page] = block;
    }

    /// <summary>A zeroed record that lives as long as the code of the block at work.</summary>
    internal T* Record<T>()
        where T : unmanaged
        => _segment.Record<T>();

    /// <summary>A number for a jump that may be linked later.</summary>
    internal int NewLink(byte* hole, bool isBackward, bool isCareful = false)
    {
        int number = _segment.NewLink();
        _links[number] = new BlockLink
        {
            Hole = hole,
            IsBackward = isBackward,
            IsCareful = isCareful,
            Far = TranslatedBlock.NoLink,
        };
        return number;
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
        Emitter.Patch(_links[number].Hole, _toExecute, stub);
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
        int far = _segment.NewFar();
        _links[number].Far = far;
        _far[far] = default;
        return far;
    }

    /// <summary>All jumps to other pages are looked up before they are believed again.</summary>
    internal void ForgetFarLinks()
    {
        for (int far = 0; far < FarLink.CountMax; far++)
        {
            _far[far].Epoch = 0;
        }
    }

    /// <summary>Says where the code of a <see cref="FarLink"/> is.</summary>
    internal void SetFarCode(int far, byte* hole, byte* unlinked, byte* forgotten)
    {
        _farCodes[far] = new FarLinkCode { Hole = hole, Unlinked = unlinked, Forgotten = forgotten };
        Emitter.Patch(hole, _toExecute, unlinked);
    }

    /// <summary>See <see cref="BlockLink.IsCareful"/>.</summary>
    internal bool IsCareful(int number) => _links[number].IsCareful;

    /// <summary>
    /// Points link <paramref name="number"/> at <paramref name="target"/>; <paramref name="epoch"/> is what one
    /// to another page is good for, see <see cref="FarLink.Epoch"/>. One that is linked already stays as it is.
    /// </summary>
    internal void Link(int number, TranslatedBlock* target, ulong epoch)
    {
        BlockLink* link = _links + number;
        if (link->Target != null)
        {
            return;
        }

        if (link->Far >= 0)
        {
            _far[link->Far] = new FarLink { Epoch = epoch, Target = 1 - (ulong)target->Indirect };
            FarLinkCode* code = _farCodes + link->Far;
            Emitter.Patch(code->Hole, _toExecute, code->Forgotten);
        }

        Attach(number, target);
        byte* entry = link->IsReturn ? target->Indirect : link->IsBackward ? target->Poll : target->Direct;
        Emitter.Patch(link->Hole, _toExecute, entry);
    }

    /// <summary>Drops the blocks of <paramref name="page"/> that lie on any of <paramref name="lines"/>.</summary>
    /// <returns>Lines of the blocks that stay.</returns>
    internal ulong Drop(long page, ulong lines)
    {
        ulong left = DropCrossing(page, lines);
        for (TranslatedBlock* block = _firstInPage[page]; block != null; block = block->NextInPage)
        {
            if ((block->Lines & lines) == 0)
            {
                left |= block->Lines;
            }
            else
            {
                DropBlock(block);
            }
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
            Check.That(block->IsCrossing && block->CrossedPage == page); // not one whose memory was given to another
            block->IsCrossing = false;
            if (!block->IsDropped)
            {
                DropBlock(block);
            }
        }

        return 0;
    }

    /// <summary>Drops everything.</summary>
    internal void Clear()
    {
        Generation++;
        NativeMemory.Clear(_slots, (nuint)(SlotCount * sizeof(Slot)));
        NativeMemory.Clear(_firstInPage, (nuint)(_pageCount * sizeof(nint)));
        NativeMemory.Clear(_firstCrossing, (nuint)(_pageCount * sizeof(nint)));
        _byKey.Clear();
        foreach (CacheSegment segment in _segments)
        {
            segment.Empty();
        }

        _segmentIndex = 0;
        _segment = _segments[0];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
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

    [StructLayout(LayoutKind.Sequential)]
    private struct Slot
    {
        internal ulong Key;
        internal TranslatedBlock* Block;
    }
}
