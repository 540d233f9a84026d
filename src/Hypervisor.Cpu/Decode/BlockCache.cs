using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Hypervisor.Core.Host;
using Hypervisor.Core.Memory;
using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Decode;

/// <summary>Decoded blocks by physical page; dropped when a line of the page that they came from is written.</summary>
/// <remarks>
/// A block is found by the host address of its first byte, so a change of the guest's page tables drops nothing. A page
/// with blocks carries <see cref="PageState.Code"/>; a mask of its 64-byte lines says where the code is, so that data
/// beside code costs a slow store, not a new decoding. A dropped block may be the one that runs: its operations are
/// replaced by markers that leave it, and its memory is reused only when the whole cache is emptied, between blocks.
/// </remarks>
internal sealed unsafe class BlockCache : IPageWatcher, IDisposable
{
    private const long ArenaBytesAlone = 64L << 20;
    private const long ArenaBytesBeside = 20L << 20; // a translator: only cold code is here
    private const int OperationsMax = 64;
    private const int SlotCount = 1 << 15;
    private const int LineShift = 6;

    private readonly Vcpu _vcpu;
    private readonly GuestRam _ram;
    private readonly BlockDecoder _decoder;
    private readonly byte* _arena;
    private readonly long _arenaBytes;
    private readonly Slot* _slots;
    private readonly Block** _firstInPage;
    private readonly ulong* _codeLines;
    private readonly Dictionary<ulong, nint> _byKey = [];
    private readonly Operation* _single;
    private readonly Block* _singleBlock;

    private readonly WrittenCode _written; // what other threads store over
    private long _arenaUsed;

    /// <param name="vcpu">Whose code.</param>
    /// <param name="isBesideTranslator">Whether hot code is translated.</param>
    internal BlockCache(Vcpu vcpu, bool isBesideTranslator)
    {
        _arenaBytes = ArenaBytes(isBesideTranslator);
        _vcpu = vcpu;
        _ram = vcpu.Ram;
        _decoder = new BlockDecoder(vcpu);
        _arena = HostMemory.MapPrivateMemory(_arenaBytes);
        _slots = (Slot*)NativeMemory.AllocZeroed(SlotCount, (nuint)sizeof(Slot));
        _firstInPage = (Block**)NativeMemory.AllocZeroed((nuint)_ram.PageCount, (nuint)sizeof(Block*));
        _codeLines = (ulong*)NativeMemory.AllocZeroed((nuint)_ram.PageCount, sizeof(ulong));
        _single = (Operation*)NativeMemory.AllocZeroed((nuint)sizeof(Operation));
        _singleBlock = (Block*)NativeMemory.AllocZeroed((nuint)sizeof(Block));
        _singleBlock->Operations = _single;
        _singleBlock->Count = 1;
        _written = new WrittenCode(_ram.PageCount);
    }

    /// <summary>Memory for decoded code.</summary>
    internal static long ArenaBytes(bool isBesideTranslator)
        => isBesideTranslator ? ArenaBytesBeside : ArenaBytesAlone;

    /// <summary>Managed id of the thread that runs the vCPU; 0 while none does.</summary>
    internal int OwnerThread { get; set; }

    /// <summary>
    /// The block at <paramref name="host"/>, decoded if need be. Null: fetching the rest of an instruction that crosses
    /// the page faulted.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal Block* Find(byte* host, uint codeMode)
    {
        ulong key = (ulong)host | ((ulong)codeMode << 60);
        Slot* slot = _slots + SlotIndex(key);
        return slot->Key == key ? slot->Block : FindSlow(host, codeMode);
    }

    /// <summary>
    /// Counts a visit; true once there were <paramref name="hits"/> of them: then the page can be translated.
    /// </summary>
    internal bool IsHot(byte* host, uint codeMode, int hits)
    {
        Block* block = Find(host, codeMode);
        bool isHot = block == _singleBlock || (block != null && ++block->Hits > hits);
        if (isHot)
        {
            BeginReading(_vcpu.Mmu.RamOffset(host) >> 12);
        }

        return isHot;
    }

    /// <summary>Remembers that translated code was made from some lines of a page.</summary>
    internal void MarkCode(long page, ulong lines)
        => _codeLines[page] |= lines;

    /// <summary>Decodes the one instruction at CS:RIP for a single step. Not cached. Null: fault.</summary>
    internal Block* Single(byte* host, uint codeMode)
        => _decoder.TryDecodeOne(host, codeMode, _single) ? _singleBlock : null;

    /// <inheritdoc/>
    public void BeforeWrite(long ramOffset, int lengthBytes)
    {
        if (Environment.CurrentManagedThreadId == OwnerThread)
        {
            DropLines(ramOffset >> 12, Lines((int)(ramOffset & 0xFFF), lengthBytes));
            return;
        }

        _written.Add(ramOffset >> 12, Lines((int)(ramOffset & 0xFFF), lengthBytes));
        _vcpu.SetEvent(EventBytes.CodeWritten);
    }

    /// <summary>Drops what other threads wrote over. On the vCPU's thread, between blocks.</summary>
    internal void DropWritten()
    {
        if (_written.TryTake(_codeLines))
        {
            Settle();
            foreach ((long page, ulong lines) in _written.Taken)
            {
                DropLines(page, lines);
            }
        }
    }

    /// <summary>Drops everything. Between blocks only.</summary>
    internal void Clear()
    {
        for (long page = 0; page < _ram.PageCount; page++)
        {
            if (_codeLines[page] != 0)
            {
                _codeLines[page] = 0;
                _vcpu.Peers.Release(_vcpu.PeerNumber, page);
            }
        }

        _vcpu.Translator?.Clear();
        ClearDecoded();
    }

    // The lines of the code stay marked, for translations may come from them: the first store there finds out.
    private void ClearDecoded()
    {
        NativeMemory.Clear(_firstInPage, (nuint)(_ram.PageCount * sizeof(Block*)));
        _byKey.Clear();
        NativeMemory.Clear(_slots, (nuint)(SlotCount * sizeof(Slot)));
        _arenaUsed = 0;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        HostMemory.Unmap(_arena, _arenaBytes);
        NativeMemory.Free(_slots);
        NativeMemory.Free(_firstInPage);
        NativeMemory.Free(_codeLines);
        NativeMemory.Free(_single);
        NativeMemory.Free(_singleBlock);
    }

    // Multiplicative hash: instruction addresses are dense, their low bits differ most.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int SlotIndex(ulong key) => (int)((key * 0x9E37_79B9_7F4A_7C15) >> 49);

    // No instruction, so it is not one that was finished.
    private static Outcome Stale(Vcpu vcpu, Operation* op) => Outcome.Restart;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private Block* FindSlow(byte* host, uint codeMode)
    {
        ulong key = (ulong)host | ((ulong)codeMode << 60);
        if (!_byKey.TryGetValue(key, out nint address))
        {
            Block* built = Build(host, codeMode, key);
            if (built == null)
            {
                return Single(host, codeMode); // the first instruction crosses the page
            }

            address = (nint)built;
        }

        Slot* slot = _slots + SlotIndex(key);
        slot->Key = key;
        slot->Block = (Block*)address;
        return slot->Block;
    }

    private Block* Build(byte* host, uint codeMode, ulong key)
    {
        if (_arenaBytes - _arenaUsed < sizeof(Block) + (OperationsMax * sizeof(Operation)))
        {
            ClearDecoded();
        }

        long offset = _vcpu.Mmu.RamOffset(host);
        long page = offset >> 12;
        BeginReading(page);
        var block = (Block*)(_arena + _arenaUsed);
        block->Operations = (Operation*)(block + 1);
        block->Count = _decoder.DecodeBlock(host, codeMode, block->Operations, OperationsMax, out int codeBytes);
        if (block->Count == 0)
        {
            ReleaseIfEmpty(page);
            return null;
        }

        _arenaUsed += sizeof(Block) + (block->Count * sizeof(Operation));
        block->Key = key;
        block->Hits = 0;
        block->Lines = Lines((int)(offset & 0xFFF), codeBytes);
        block->NextInPage = _firstInPage[page];
        _firstInPage[page] = block;
        _byKey.Add(key, (nint)block);
        MarkCode(page, block->Lines);
        return block;
    }

    private void DropLines(long page, ulong lines)
    {
        if ((_codeLines[page] & lines) == 0)
        {
            ReleaseIfEmpty(page); // it was held for a translation that came to nothing
            return;
        }

        ulong left = _vcpu.Translator?.Drop(page, lines) ?? 0;
        Block** previous = &_firstInPage[page];
        for (Block* block = *previous; block != null; block = block->NextInPage)
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

        _codeLines[page] = left;
        ReleaseIfEmpty(page);
    }

    /// <summary>Call before bytes of a page are read, to keep what is made of them.</summary>
    internal void BeginReading(long page)
    {
        _vcpu.Peers.Hold(_vcpu.PeerNumber, page);
        Settle();
    }

    // Stores are announced before they land.
    private void Settle()
    {
        if (_written.TryBeginWait())
        {
            _vcpu.Bus.Synchronize();
            _vcpu.Peers.WaitForStores(_vcpu.PeerNumber);
        }
    }

    private void ReleaseIfEmpty(long page)
    {
        if (_codeLines[page] == 0)
        {
            _vcpu.Peers.Release(_vcpu.PeerNumber, page);
        }
    }

    // It may be the one that runs: its operations lead out of it.
    private void DropBlock(Block* block)
    {
        _byKey.Remove(block->Key);
        Slot* slot = _slots + SlotIndex(block->Key);
        if (slot->Key == block->Key)
        {
            slot->Key = 0;
        }

        for (int i = 0; i < block->Count; i++)
        {
            block->Operations[i].Execute = &Stale;
            block->Operations[i].Length = 0;
        }
    }

    // Bit n of the result: line n of the page overlaps [offset, offset + length).
    private static ulong Lines(int offset, int lengthBytes)
    {
        int first = offset >> LineShift;
        int last = (offset + lengthBytes - 1) >> LineShift;
        return (ulong.MaxValue << first) & (ulong.MaxValue >> (63 - last));
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Slot
    {
        internal ulong Key;
        internal Block* Block;
    }
}
