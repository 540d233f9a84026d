using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.State;
using Iced.Intel;
using static Hypervisor.Cpu.Translation.HostRegister;

namespace Hypervisor.Cpu.Translation;

/// <content>Code of 16 and 32 bits: pushes, pops, and string instructions.</content>
internal sealed unsafe partial class BlockTranslator
{
    /// <summary>As EmitStackOperand, for a word of any size at a distance from a register.</summary>
    private Place EmitLegacyStackOperand(int register, int displacement, int sizeBytes, bool isWrite)
    {
        AccessPlan.Member member = _plan.Stack(_index);
        if (member.Window != NoWindow && sizeBytes == LegacyWordBytes && IsUseful(member, isWrite))
        {
            return EmitMember(member, register, displacement, sizeBytes, SegmentRegister.Ss, isWrite);
        }

        EmitFlatPlace(register, displacement);
        if (!_variant.HasWideStack)
        {
            _code.MoveZero16(R9, R9);
        }

        if (_variant.IsSegmented)
        {
            EmitSegment(SegmentRegister.Ss, sizeBytes, isWrite);
        }

        return new Place(EmitCheck(R9, sizeBytes, SegmentRegister.Ss, isWrite), 0);
    }

    private void EmitLegacyPushed(Place slot, int register, int sizeBytes)
    {
        _code.StoreIndexed(sizeBytes, slot.Base, R10, slot.Displacement, register);
        EmitMoveStackPointer(-sizeBytes, R9);
    }

    // A stack pointer of 16 bits leaves the others alone.
    private void EmitMoveStackPointer(int bytes, int temporary)
    {
        const int stackPointer = GuestRegisters.StackPointer;
        if (!_variant.IsLegacy || _variant.HasWideStack)
        {
            _code.LeaIndexed(!_variant.IsLegacy, stackPointer, stackPointer, -1, 0, bytes);
            return;
        }

        _code.LeaIndexed(wide: false, temporary, stackPointer, -1, 0, bytes);
        _code.Move16(stackPointer, temporary);
    }

    private bool TryEmitLegacyPush(in Instruction instruction)
    {
        int sizeBytes = -instruction.StackPointerIncrement;
        if (instruction.Op0Kind == OpKind.Memory)
        {
            Place source = EmitOperand(instruction, sizeBytes, isWrite: false);
            _code.LoadZero(sizeBytes, Rcx, source.Base, R10, source.Displacement);
            _code.Store(State, StateOffset.SavedTarget, Rcx);
        }

        Place slot = EmitLegacyStackOperand(GuestRegisters.StackPointer, -sizeBytes, sizeBytes, isWrite: true);
        switch (instruction.Op0Kind)
        {
            case OpKind.Memory:
                _code.Load(Rcx, State, StateOffset.SavedTarget);
                EmitLegacyPushed(slot, Rcx, sizeBytes);
                break;
            case OpKind.Register when instruction.Op0Register.IsSegmentRegister():
                int segment = OperandLowering.SegmentIndex(instruction.Op0Register);
                _code.LoadZero16(Rcx, State, StateOffset.Selector(segment));
                EmitLegacyPushed(slot, Rcx, sizeBytes);
                break;
            case OpKind.Register:
                EmitLegacyPushed(slot, HostOf(instruction.Op0Register), sizeBytes);
                break;
            default:
                int value = (int)(long)instruction.GetImmediate(0);
                _code.StoreImmediateIndexed(sizeBytes, slot.Base, R10, slot.Displacement, value);
                EmitMoveStackPointer(-sizeBytes, R9);
                break;
        }

        return true;
    }

    private bool TryEmitLegacyPop(in Instruction instruction)
    {
        if (instruction.Op0Kind != OpKind.Register || !instruction.Op0Register.IsGPR())
        {
            return false;
        }

        int sizeBytes = instruction.StackPointerIncrement;
        int host = HostOf(instruction.Op0Register);
        Place slot = EmitLegacyStackOperand(GuestRegisters.StackPointer, 0, sizeBytes, isWrite: false);
        if (sizeBytes == LegacyWordBytes)
        {
            _code.LoadZero(sizeBytes, host, slot.Base, R10, slot.Displacement);
            if (host != GuestRegisters.StackPointer)
            {
                EmitMoveStackPointer(sizeBytes, R9);
            }

            return true;
        }

        _code.LoadZero(sizeBytes, Rcx, slot.Base, R10, slot.Displacement);
        EmitMoveStackPointer(sizeBytes, R9);
        _code.Move16(host, Rcx);
        return true;
    }

    private bool TryEmitLegacyLeave(in Instruction instruction)
    {
        int sizeBytes = instruction.Code == Code.Leaved ? LegacyWordBytes : LegacyWordBytes / 2;
        if (_variant.IsFlat && sizeBytes != LegacyWordBytes)
        {
            return false;
        }

        const int frame = GuestRegisters.FramePointer;
        Place slot = EmitLegacyStackOperand(frame, 0, sizeBytes, isWrite: false);
        _code.LoadZero(sizeBytes, Rcx, slot.Base, R10, slot.Displacement);
        if (_variant.HasWideStack)
        {
            _code.LeaIndexed(wide: false, GuestRegisters.StackPointer, frame, -1, 0, sizeBytes);
        }
        else
        {
            _code.LeaIndexed(wide: false, R9, frame, -1, 0, sizeBytes);
            _code.Move16(GuestRegisters.StackPointer, R9);
        }

        if (sizeBytes == LegacyWordBytes)
        {
            _code.Move32(frame, Rcx);
        }
        else
        {
            _code.Move16(frame, Rcx);
        }

        return true;
    }

    // In flat code: what is above the 32 bits of a pointer must be 0 on the host, and stays so.
    private bool TryEmitLegacyString(in Instruction instruction, int shift)
    {
        bool isMove = instruction.Op1Kind == OpKind.MemorySegESI;
        if (!_variant.IsFlat || instruction.Op0Kind != OpKind.MemoryESEDI || instruction.HasRepnePrefix
            || (instruction.Mnemonic is Mnemonic.Movsb or Mnemonic.Movsd && !isMove)
            || (isMove && instruction.MemorySegment is Register.FS or Register.GS))
        {
            return false;
        }

        ReleaseR10();
        _code.Pext(Rcx, Rdi, State, StateOffset.HighHalf);
        EmitUnlessZero();
        if (isMove)
        {
            _code.Pext(Rcx, Rsi, State, StateOffset.HighHalf);
            EmitUnlessZero();
        }

        EmitString(shift, isMove, instruction.HasRepPrefix);
        return true;
    }

    // LODS in flat code, upwards.
    private bool TryEmitLoadString(in Instruction instruction)
    {
        if (!_variant.IsFlat || instruction.Op1Kind != OpKind.MemorySegESI || instruction.HasRepPrefix
            || instruction.HasRepnePrefix || instruction.MemorySegment is Register.FS or Register.GS)
        {
            return false;
        }

        (Code code, Register target, int sizeBytes) = instruction.Mnemonic switch
        {
            Mnemonic.Lodsb => (Code.Mov_r8_rm8, Register.AL, 1),
            Mnemonic.Lodsw => (Code.Mov_r16_rm16, Register.AX, 2),
            _ => (Code.Mov_r32_rm32, Register.EAX, 4),
        };
        ReleaseR10();
        _code.Load(R10, State, StateOffset.Rflags);
        _code.Pext(Rcx, R10, State, StateOffset.DirectionBit);
        EmitUnlessZero();
        _code.Move32(R9, Rsi);
        EmitCheck(R9, sizeBytes, SegmentRegister.Ds, isWrite: false);
        Encode(Instruction.Create(code, target, new MemoryOperand(Register.R9, Register.R10)));
        _code.LeaIndexed(wide: false, Rsi, Rsi, -1, 0, sizeBytes);
        return true;
    }
}
