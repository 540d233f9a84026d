using System;
using System.Numerics;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Paging;
using Hypervisor.Cpu.State;
using static Hypervisor.Cpu.Instructions.StringSteps;
using static Hypervisor.Cpu.Instructions.Strings;

namespace Hypervisor.Cpu.Instructions;

/// <summary>REP MOVS and REP STOS in pieces of up to a page.</summary>
internal static unsafe class StringBlocks
{
    private const int Rcx = 1, Rsi = 6, Rdi = 7;
    private const int PageBytes = 4096;

    internal static Outcome RepeatMove<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged
    {
        CpuState* state = vcpu.State;
        while (Truncate(state->Gpr[Rcx], op->AddressBytes) != 0)
        {
            long moved = TryMovePiece<T>(vcpu, op);
            if (moved == 0)
            {
                if (!MoveStep<T>.Do(vcpu, op))
                {
                    return Outcome.Fault;
                }

                moved = 1;
            }

            state->Gpr[Rcx] = Add(state->Gpr[Rcx], -moved, op->AddressBytes);
            if (state->Events != 0 && Truncate(state->Gpr[Rcx], op->AddressBytes) != 0)
            {
                return Outcome.Restart;
            }
        }

        return Finish(state, op);
    }

    internal static Outcome RepeatStore<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        CpuState* state = vcpu.State;
        while (Truncate(state->Gpr[Rcx], op->AddressBytes) != 0)
        {
            long stored = TryStorePiece<T>(vcpu, op);
            if (stored == 0)
            {
                if (!StoreStep<T>.Do(vcpu, op))
                {
                    return Outcome.Fault;
                }

                stored = 1;
            }

            state->Gpr[Rcx] = Add(state->Gpr[Rcx], -stored, op->AddressBytes);
            if (state->Events != 0 && Truncate(state->Gpr[Rcx], op->AddressBytes) != 0)
            {
                return Outcome.Restart;
            }
        }

        return Finish(state, op);
    }

    /// <summary>Elements that fit before the page, or the index, ends in the direction of the move.</summary>
    private static long PieceCount(CpuState* state, Operation* op, ulong offset, ulong linear, int sizeBytes)
    {
        long inPage = (long)(linear & (PageBytes - 1));
        if (IsBackward(state))
        {
            ulong last = Truncate(ulong.MaxValue, op->AddressBytes) - (ulong)(sizeBytes - 1);
            bool crosses = inPage + sizeBytes > PageBytes || offset > last;
            return crosses ? 0 : ((long)Math.Min((ulong)inPage, offset) / sizeBytes) + 1;
        }

        long bytes = PageBytes - inPage;
        if (op->AddressBytes == 2)
        {
            bytes = Math.Min(bytes, 0x1_0000 - (long)offset);
        }

        return bytes / sizeBytes;
    }

    private static bool IsBackward(CpuState* state) => (state->Rflags & Rflags.Direction) != 0;

    /// <summary>
    /// Moves as many elements as lie in one source page and one target page. 0: go element by element.
    /// </summary>
    private static long TryMovePiece<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged
    {
        CpuState* state = vcpu.State;
        ulong count = Truncate(state->Gpr[Rcx], op->AddressBytes);
        ulong sourceOffset = Truncate(state->Gpr[Rsi], op->AddressBytes);
        ulong targetOffset = Truncate(state->Gpr[Rdi], op->AddressBytes);
        if (count < 4
            || !vcpu.Mmu.TrySegment(op->Segment, sourceOffset, 1, MemoryAccess.Read, out ulong source)
            || !vcpu.Mmu.TrySegment(SegmentRegister.Es, targetOffset, 1, MemoryAccess.Write, out ulong target))
        {
            return 0;
        }

        long piece = Math.Min(
            PieceCount(state, op, sourceOffset, source, sizeof(T)),
            PieceCount(state, op, targetOffset, target, sizeof(T)));
        piece = (long)Math.Min((ulong)piece, count);
        int bytes = (int)piece * sizeof(T);
        bool isBackward = IsBackward(state);
        ulong below = isBackward ? (ulong)(bytes - sizeof(T)) : 0; // the first element is the piece's highest
        if (piece < 2
            || !vcpu.Mmu.TrySegment(op->Segment, sourceOffset - below, bytes, MemoryAccess.Read, out source)
            || !vcpu.Mmu.TrySegment(SegmentRegister.Es, targetOffset - below, bytes, MemoryAccess.Write, out target))
        {
            return 0;
        }

        byte* from = vcpu.Mmu.TryPiece(source, bytes, isWrite: false);
        byte* to = vcpu.Mmu.TryPiece(target, bytes, isWrite: true);
        bool repeatsPattern = isBackward ? to < from && from < to + bytes : to > from && to < from + bytes;
        if (from == null || to == null || repeatsPattern)
        {
            return 0; // not plain RAM, or what is read was written by the piece itself
        }

        Buffer.MemoryCopy(from, to, bytes, bytes);
        int step = isBackward ? -bytes : bytes;
        state->Gpr[Rsi] = Add(state->Gpr[Rsi], step, op->AddressBytes);
        state->Gpr[Rdi] = Add(state->Gpr[Rdi], step, op->AddressBytes);
        return piece;
    }

    private static long TryStorePiece<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged
    {
        CpuState* state = vcpu.State;
        ulong count = Truncate(state->Gpr[Rcx], op->AddressBytes);
        ulong offset = Truncate(state->Gpr[Rdi], op->AddressBytes);
        if (count < 4
            || !vcpu.Mmu.TrySegment(SegmentRegister.Es, offset, 1, MemoryAccess.Write, out ulong target))
        {
            return 0;
        }

        long piece = (long)Math.Min((ulong)PieceCount(state, op, offset, target, sizeof(T)), count);
        int bytes = (int)piece * sizeof(T);
        bool isBackward = IsBackward(state);
        ulong below = isBackward ? (ulong)(bytes - sizeof(T)) : 0;
        if (piece < 2
            || !vcpu.Mmu.TrySegment(SegmentRegister.Es, offset - below, bytes, MemoryAccess.Write, out target))
        {
            return 0;
        }

        byte* to = vcpu.Mmu.TryPiece(target, bytes, isWrite: true);
        if (to == null)
        {
            return 0;
        }

        new Span<T>(to, (int)piece).Fill(Operands.Get<T>(state, 0));
        state->Gpr[Rdi] = Add(state->Gpr[Rdi], isBackward ? -bytes : bytes, op->AddressBytes);
        return piece;
    }
}
