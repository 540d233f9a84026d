using Hypervisor.Cpu.State;
using Iced.Intel;
using static Hypervisor.Cpu.Translation.HostRegister;

namespace Hypervisor.Cpu.Translation;

/// <content>Code of 16 and 32 bits: its jumps and calls.</content>
/// <remarks>
/// In flat code every target is within the limit. Otherwise what leaves the page (or the part of it that belongs to the
/// segment) is looked up before anything happens: only targets within the limit are ever found, so the rest, and what
/// wraps around 64 KiB, is interpreted.
/// </remarks>
internal sealed unsafe partial class BlockTranslator
{
    // Jumps of 16 bits in code of 32 bits are rare.
    private bool IsLegacyReachable(in Instruction instruction)
        => instruction.Op0Kind == OpKind.NearBranch32
            || (instruction.Op0Kind == OpKind.NearBranch16 && _variant.IsCode16);

    private bool IsTargetSize(int sizeBytes) => sizeBytes == 4 || (sizeBytes == 2 && _variant.IsCode16);

    // Distance from the page, before it wraps around.
    private static int LegacyTargetOf(in Instruction instruction)
    {
        if (instruction.Op0Kind == OpKind.NearBranch32)
        {
            return (int)instruction.NearBranch32;
        }

        int next = (int)instruction.NextIP;
        return next + (short)(instruction.NearBranch16 - (ushort)next);
    }

    private bool IsInPage(int target) => target >= _pageLow && target < _pageHigh;

    // R9 = what stands for an offset from this page that may be anywhere.
    private void EmitTarget(int offset)
    {
        if (!_variant.IsLegacy)
        {
            EmitLinear(offset);
            return;
        }

        _code.Load(R9, State, StateOffset.CodeBase);
        _code.LeaIndexed(wide: false, R9, R9, -1, 0, offset);
        if (_variant.IsSegmented)
        {
            _code.Load(R10, State, StateOffset.CodeKey);
            _code.LeaIndexed(wide: true, R9, R9, R10, 0, 0);
        }
    }

    // R9 = what stands for the offset in CS in R9.
    private void EmitTargetOfOffset()
    {
        _code.Load(R10, State, StateOffset.SegmentBase(SegmentRegister.Cs));
        _code.LeaIndexed(wide: false, R9, R9, R10, 0, 0);
        _code.Load(R10, State, StateOffset.CodeKey);
        _code.LeaIndexed(wide: true, R9, R9, R10, 0, 0);
    }

    private void EmitSegmentedJump(int target)
    {
        EmitTarget(target);
        EmitKnownTarget();
        _code.JumpIndexed(State, R10, StateOffset.Jumps(_variant.Set) + JumpCache.CodeAt);
    }

    // See EmitJumpTo.
    private void EmitLegacyJumpTo(int mode)
    {
        int set = mode + Variant.LegacySets;
        byte* miss = EntryStubs.EmitLookup(_code, set);
        byte* known = _code.Here;
        _code.JumpIndexed(State, R10, StateOffset.Jumps(set) + JumpCache.CodeAt);
        _code.Land(miss);
        byte* secondMiss = EntryStubs.EmitSecondWay(_code, set);
        _code.Jump(known);
        _code.Land(secondMiss);
        EmitExit(ExitReason.Lookup);
    }

    // LOOP, JCXZ and JECXZ. A LOOP has happened before its jump is looked up.
    private bool EmitLegacyCounted(in Instruction instruction, int target)
    {
        bool isLoop = instruction.Mnemonic == Mnemonic.Loop;
        bool isJump = instruction.Mnemonic is Mnemonic.Jcxz or Mnemonic.Jecxz;
        if ((!isLoop && !isJump) || (isLoop && _variant.IsSegmented && !IsInPage(target)))
        {
            return EmitInterpreted(instruction);
        }

        bool isNarrow = instruction.Code is Code.Jcxz_rel8_16 or Code.Jcxz_rel8_32 or Code.Loop_rel8_16_CX
            or Code.Loop_rel8_32_CX;
        if (isLoop)
        {
            EmitCountDown(isNarrow);
        }
        else
        {
            EmitCounter(isNarrow, GuestRegisters.Counter);
        }

        EmitCounterJump(isLoop, target);
        return false;
    }

    private void EmitCountDown(bool isNarrow)
    {
        if (isNarrow)
        {
            _code.LeaIndexed(wide: false, Rcx, GuestRegisters.Counter, -1, 0, -1);
            _code.Move16(GuestRegisters.Counter, Rcx);
            EmitCounter(isNarrow, Rcx);
            return;
        }

        _code.LeaIndexed(wide: false, GuestRegisters.Counter, GuestRegisters.Counter, -1, 0, -1);
        EmitCounter(isNarrow, GuestRegisters.Counter);
    }

    private void EmitCounter(bool isNarrow, int source)
    {
        if (isNarrow)
        {
            _code.MoveZero16(Rcx, source);
        }
        else
        {
            _code.Move32(Rcx, source);
        }
    }

    // See TryEmitTarget.
    private bool TryEmitLegacyTarget(in Instruction instruction)
    {
        bool isRegister = instruction.Op0Kind == OpKind.Register;
        int sizeBytes = isRegister ? instruction.Op0Register.GetSize() : instruction.MemorySize.GetSize();
        if (!IsTargetSize(sizeBytes))
        {
            return false;
        }

        if (!isRegister)
        {
            Place place = EmitOperand(instruction, sizeBytes, isWrite: false);
            _code.LoadZero(sizeBytes, R9, place.Base, R10, place.Displacement);
        }
        else if (sizeBytes == 2)
        {
            _code.MoveZero16(R9, HostOf(instruction.Op0Register));
        }
        else
        {
            _code.Move32(R9, HostOf(instruction.Op0Register));
        }

        if (_variant.IsSegmented)
        {
            EmitTargetOfOffset();
        }

        return true;
    }

    private void EmitSegmentedCall(in Instruction instruction)
    {
        int target = TargetOf(instruction);
        if (IsInPage(target))
        {
            EmitSegmentedPushReturn(instruction);
            EmitDirectJump(target);
            return;
        }

        EmitTarget(target);
        EmitCallOfTarget(instruction);
    }

    private void EmitSegmentedPushReturn(in Instruction instruction)
    {
        int sizeBytes = -instruction.StackPointerIncrement;
        _code.Load(Rcx, State, StateOffset.CodeBase);
        _code.Load(R9, State, StateOffset.MinusCodeBase);
        _code.LeaIndexed(wide: false, Rcx, Rcx, R9, 0, (int)instruction.NextIP);
        _code.Store(State, StateOffset.SavedPointer, Rcx);
        Place slot = EmitLegacyStackOperand(GuestRegisters.StackPointer, -sizeBytes, sizeBytes, isWrite: true);
        _code.Load(Rcx, State, StateOffset.SavedPointer);
        EmitLegacyPushed(slot, Rcx, sizeBytes);
    }

    private bool EmitSegmentedReturn(in Instruction instruction)
    {
        int sizeBytes = instruction.Code switch
        {
            Code.Retnw or Code.Retnw_imm16 => 2,
            Code.Retnd or Code.Retnd_imm16 => 4,
            _ => 0,
        };
        if (!IsTargetSize(sizeBytes))
        {
            return EmitInterpreted(instruction);
        }

        int extra = instruction.Code is Code.Retnw_imm16 or Code.Retnd_imm16 ? instruction.Immediate16 : 0;
        Place slot = EmitLegacyStackOperand(GuestRegisters.StackPointer, 0, sizeBytes, isWrite: false);
        _code.LoadZero(sizeBytes, R9, slot.Base, R10, slot.Displacement);
        EmitTargetOfOffset();
        EmitKnownTarget();
        EmitMoveStackPointer(sizeBytes + extra, Rcx);
        _code.JumpIndexed(State, R10, StateOffset.Jumps(_variant.Set) + JumpCache.CodeAt);
        return true;
    }
}
