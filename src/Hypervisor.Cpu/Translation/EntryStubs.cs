using System;
using System.Collections.Generic;
using System.Numerics;
using Hypervisor.Cpu.Instructions;
using Hypervisor.Cpu.Paging;
using static Hypervisor.Cpu.Translation.HostRegister;

namespace Hypervisor.Cpu.Translation;

/// <summary>The fixed pieces of generated code: the way in, the way out, the call for a memory access.</summary>
/// <remarks>
/// There is a set for each mode. In user mode the guest's vector registers are in the host's while generated code
/// runs; in supervisor mode, where they are hardly used, they stay in the state, and changes of privilege cost less.
/// The host's stack pointer is a multiple of 16 inside generated code.
/// </remarks>
internal sealed unsafe partial class EntryStubs
{
    private const int State = GuestRegisters.State;

    private static readonly int[] s_saved = [Rbx, Rbp, R12, 13, 14, R15];

    private readonly Emitter _emitter;
    private readonly int _mode;
    private readonly bool _hasVectors;
    private readonly bool _hasWide;

    private EntryStubs(Emitter emitter, int mode, bool hasWide)
    {
        _emitter = emitter;
        _mode = mode;
        _hasVectors = mode == TlbMode.User;
        _hasWide = _hasVectors && hasWide;
        emitter.Align(16);
        Enter = emitter.Here;
        EmitEnter();
        emitter.Align(16);
        Exit = emitter.Here;
        EmitExit();
        emitter.Align(16);
        Access = emitter.Here;
        EmitAccess();
        emitter.Align(16);
        Miss = emitter.Here;
        EmitMiss();
        emitter.Align(16);
        Stale = emitter.Here;
        emitter.MoveImmediate32(Rcx, (uint)ExitReason.Lookup);
        emitter.Jump(Exit);
        emitter.Align(16);
        LoadFpu = emitter.Here;
        EmitLoadFpu();
        emitter.Align(16);
        ParkFpu = emitter.Here;
        EmitParkFpu();
        if (_hasWide)
        {
            emitter.Align(16);
            LoadWide = emitter.Here;
            EmitLoadWide();
        }
    }

    /// <summary><c>int enter(CpuState*, code)</c>: runs code, gives the <see cref="ExitReason"/>.</summary>
    internal byte* Enter { get; }

    /// <summary>Jumped to with RIP in R9, the argument in R10, the reason in RCX.</summary>
    internal byte* Exit { get; }

    /// <summary>
    /// Called with a linear address in R9 and an <see cref="AccessDescriptor"/> in R10; returns host minus linear
    /// address in R10, all else as it was, or leaves.
    /// </summary>
    internal byte* Access { get; }

    /// <summary>Jumped to where a target in R9 is not in the first entry of its slot, R10.</summary>
    internal byte* Miss { get; }

    /// <summary>Jumped to from the entry of a block that was dropped, with its linear address in R9.</summary>
    internal byte* Stale { get; }

    /// <summary>Called to put the guest's x87 registers into the host's. Uses RCX.</summary>
    internal byte* LoadFpu { get; }

    /// <summary>
    /// <c>void park(CpuState*)</c>: moves the x87 registers from the host's into the exchange area.
    /// </summary>
    internal byte* ParkFpu { get; }

    /// <summary>Names of the pieces, for listings.</summary>
    internal void AddNames(IDictionary<ulong, string> names)
    {
        names[(ulong)Exit] = "exit";
        names[(ulong)Access] = "access";
        names[(ulong)Miss] = "miss";
        names[(ulong)LoadFpu] = "loadFpu";
        if (_hasWide)
        {
            names[(ulong)LoadWide] = "loadWide";
        }
    }

    /// <summary>The set for code of <paramref name="mode"/>.</summary>
    internal static EntryStubs Create(Emitter emitter, int mode, bool hasWide) => new(emitter, mode, hasWide);

    private void EmitEnter()
    {
        foreach (int register in s_saved)
        {
            _emitter.Push(register);
        }

        _emitter.Lea(Rsp, Rsp, -8);
        _emitter.Move(State, Rdi);
        _emitter.Move(Rcx, Rsi);
        if (_hasVectors)
        {
            LoadVectors(isEntry: true);
        }

        _emitter.Load(Rax, State, StateOffset.PackedFlags);
        _emitter.UnpackFlags();
        ForEachPinned(load: true);
        _emitter.Load(R9, State, StateOffset.Rip);
        _emitter.JumpRegister(Rcx);
    }

    private void EmitExit()
    {
        ForEachPinned(load: false);
        _emitter.Store(State, StateOffset.Rip, R9);
        _emitter.Store(State, StateOffset.ExitArgument, R10);
        _emitter.PackFlags();
        _emitter.Store(State, StateOffset.PackedFlags, Rax);
        if (_hasVectors)
        {
            StoreVectors(isExit: true);
        }

        _emitter.Move(Rax, Rcx);
        _emitter.Lea(Rsp, Rsp, 8);
        for (int i = s_saved.Length - 1; i >= 0; i--)
        {
            _emitter.Pop(s_saved[i]);
        }

        _emitter.Return();
    }

    // The second entry of the slot may grant what the first does not. Now and then they change places: a page that is
    // used much comes to the front, but two that are used by turns do not push each other out all the time. A tag for
    // execution goes with the addend of the first, so it is dropped.
    private void EmitSecondEntry()
    {
        int table = StateOffset.Tlb(_mode, TlbEntry.SecondAt);
        _emitter.Push(Rax);
        _emitter.Push(Rdx);
        _emitter.Pext(Rax, R9, State, StateOffset.TlbSlotBits);
        _emitter.Pext(Rcx, R10, State, StateOffset.AccessWriteBit);
        _emitter.RotateRight(Rcx, Rcx, 64 - BitOperations.Log2(TlbEntry.SlotCount)); // write tags follow read tags
        _emitter.LeaIndexed(wide: true, Rcx, Rcx, Rax, 0, 0);
        _emitter.LoadIndexed(Rcx, State, Rcx, 3, table);
        _emitter.LeaIndexed(wide: true, Rcx, Rcx, R9, 0, -1);
        _emitter.Pext(Rdx, R10, State, StateOffset.AccessSizeBits);
        _emitter.LeaIndexed(wide: true, Rcx, Rcx, Rdx, 0, 0);
        _emitter.Pext(Rcx, Rcx, State, StateOffset.PageBits);
        _emitter.Pext(Rdx, R10, State, StateOffset.AccessAlignmentBits);
        _emitter.LeaIndexed(wide: true, Rcx, Rcx, Rdx, 3, 0); // not 1 for what must be aligned
        byte* miss = _emitter.JumpUnlessRcxIsOne();
        _emitter.Load(Rcx, State, StateOffset.SecondHits);
        _emitter.Lea(Rcx, Rcx, 1);
        _emitter.Store(State, StateOffset.SecondHits, Rcx);
        _emitter.Pext(Rcx, Rcx, State, StateOffset.SecondHitsBits);
        byte* change = _emitter.JumpShortIfRcxZero();
        _emitter.LoadIndexed(R10, State, Rax, 3, table + TlbEntry.AddendAt);
        _emitter.Pop(Rdx);
        _emitter.Pop(Rax);
        _emitter.Return();

        _emitter.LandShort(change);
        int first = StateOffset.Tlb(_mode, 0);
        foreach (int word in (ReadOnlySpan<int>)[TlbEntry.ReadAt, TlbEntry.WriteAt, TlbEntry.AddendAt])
        {
            _emitter.LoadIndexed(R10, State, Rax, 3, table + word);
            _emitter.LoadIndexed(Rcx, State, Rax, 3, first + word);
            _emitter.StoreScaled(State, Rax, 3, first + word, R10);
            _emitter.StoreScaled(State, Rax, 3, table + word, Rcx);
        }

        _emitter.Move(Rcx, R9); // of this slot, so half a table away from it no address of the slot matches
        _emitter.Not(Rcx);
        _emitter.Lea(Rcx, Rcx, TlbEntry.SlotCount / 2 * (int)TlbEntry.PageBytes);
        _emitter.StoreScaled(State, Rax, 3, first + TlbEntry.ExecuteAt, Rcx);
        _emitter.Pop(Rdx);
        _emitter.Pop(Rax);
        _emitter.Return();
        _emitter.Land(miss);
        _emitter.Pop(Rdx);
        _emitter.Pop(Rax);
    }

    private void EmitAccess()
    {
        EmitSecondEntry();
        _emitter.PushFlags();
        ForEachPinned(load: false); // the function may need none, but a fault needs all
        if (_hasVectors)
        {
            StoreVectors(isExit: false);
        }

        _emitter.Push(R9);
        _emitter.Lea(Rsp, Rsp, -8);
        _emitter.Move(Rdi, State);
        _emitter.Move(Rsi, R9);
        _emitter.Move(Rdx, R10);
        _emitter.CallMemory(State, StateOffset.AccessFunction);
        _emitter.Lea(Rsp, Rsp, 8);
        _emitter.Pop(R9);
        if (_hasVectors)
        {
            LoadVectors(isEntry: false);
        }

        _emitter.Move(R10, Rax);
        _emitter.Test(R10);
        byte* failed = _emitter.JumpForwardIf(4);
        _emitter.Subtract(R10, R9);
        ForEachPinned(load: true);
        _emitter.PopFlags();
        _emitter.Return();

        _emitter.Land(failed);
        ForEachPinned(load: true);
        _emitter.PopFlags();
        _emitter.Lea(Rsp, Rsp, 8); // the return address
        _emitter.Load(R9, State, StateOffset.ExitRip);
        _emitter.Load(Rcx, State, StateOffset.ExitReason);
        _emitter.Jump(Exit);
    }

    private void EmitMiss()
    {
        byte* miss = EmitSecondWay(_emitter, _mode);
        _emitter.JumpIndexed(State, R10, StateOffset.Jumps(_mode) + JumpCache.CodeAt);
        _emitter.Land(miss);
        _emitter.MoveImmediate32(Rcx, (uint)ExitReason.Lookup);
        _emitter.Jump(Exit);
    }

    /// <summary>
    /// Looks for the target in R9 in the second entry of its slot; R10 goes from the first to the second. Gives the
    /// hole of the jump to take on a miss.
    /// </summary>
    internal static byte* EmitSecondWay(Emitter emitter, int mode)
    {
        emitter.Lea(R10, R10, JumpCache.SlotCount * JumpCache.Words);
        return EmitComparison(emitter, mode);
    }

    private static byte* EmitComparison(Emitter emitter, int mode)
    {
        emitter.LoadIndexed(Rcx, State, R10, 3, StateOffset.Jumps(mode));
        emitter.LeaIndexed(wide: true, Rcx, Rcx, R9, 0, 0);
        return emitter.JumpUnlessRcxIsZero();
    }

    // FXRSTOR loads XMM registers and MXCSR too, so they are put into the image first, as they are.
    private void EmitLoadFpu()
    {
        _emitter.Fxsave64(State, StateOffset.Exchange);
        for (int at = 0; at < FpuImage.Bytes; at += sizeof(ulong))
        {
            if (at != StateOffset.FpuMxcsr - StateOffset.Fpu)
            {
                _emitter.Load(Rcx, State, StateOffset.Fpu + at);
                _emitter.Store(State, StateOffset.Exchange + at, Rcx);
            }
        }

        _emitter.Fxrstor64(State, StateOffset.Exchange);
        _emitter.StoreImmediate64(State, StateOffset.IsFpuParked, 0);
        _emitter.Return();
    }

    private void EmitParkFpu()
    {
        _emitter.Fxsave64(Rdi, StateOffset.Exchange);
        _emitter.InitializeFpu();
        _emitter.Return();
    }

    /// <summary>
    /// Looks for the target in R9. On a hit [jump cache + 8 R10] is its entry. Gives the hole of the jump to take on a
    /// miss.
    /// </summary>
    internal static byte* EmitLookup(Emitter emitter, int mode)
    {
        emitter.RotateRight(R10, R9, JumpCache.FoldBits);
        emitter.LeaIndexed(wide: true, R10, R10, R9, 0, 0);
        emitter.Pext(R10, R10, State, StateOffset.JumpSlotBits);
        emitter.LeaIndexed(wide: true, R10, R10, R10, 0, 0);
        return EmitComparison(emitter, mode);
    }

    // MOV touches no flags.
    private void ForEachPinned(bool load)
    {
        for (int guest = 0; guest < Count; guest++)
        {
            int host = GuestRegisters.HostOf(guest);
            if (host >= 0 && load)
            {
                _emitter.Load(host, State, StateOffset.Gpr(guest));
            }
            else if (host >= 0)
            {
                _emitter.Store(State, StateOffset.Gpr(guest), host);
            }
        }
    }

    private void LoadVectors(bool isEntry)
    {
        _emitter.LoadMxcsr(State, StateOffset.Mxcsr);
        if (_hasWide)
        {
            LoadWideOrNarrow(isEntry);
        }
        else
        {
            LoadNarrow();
        }
    }

    private void LoadNarrow()
    {
        for (int register = 0; register < Count; register++)
        {
            _emitter.LoadYmm(register, State, StateOffset.Vector(register));
        }
    }

    private void StoreVectors(bool isExit)
    {
        _emitter.StoreMxcsr(State, StateOffset.Mxcsr);
        if (_hasWide)
        {
            StoreWideOrNarrow(isExit);
        }
        else
        {
            StoreNarrow();
        }

        _emitter.ZeroUpper();
        _emitter.LoadMxcsr(State, StateOffset.HostMxcsr);
    }

    private void StoreNarrow()
    {
        for (int register = 0; register < Count; register++)
        {
            _emitter.StoreYmm(State, StateOffset.Vector(register), register);
        }
    }
}
