using Iced.Intel;
using static Hypervisor.Cpu.Translation.HostRegister;

namespace Hypervisor.Cpu.Translation;

/// <content>Return addresses, pushes and pops.</content>
internal sealed unsafe partial class BlockTranslator
{
    private void EmitPushReturn(int nextOffset)
    {
        Place slot = EmitPushSlot();
        _code.Load(Rcx, State, StateOffset.CodeBase);
        _code.Lea(Rcx, Rcx, nextOffset);
        EmitPushed(slot, Rcx);
        if (nextOffset < PageBytes)
        {
            EmitNoteReturn();
        }
    }

    // See ReturnCache. The return address is in RCX.
    private void EmitNoteReturn()
    {
        ReleaseR10();
        int tags = StateOffset.Returns(_variant.Set);
        _code.Pext(R10, GuestRegisters.StackPointer, State, StateOffset.ReturnSlotBits);
        _code.Not(Rcx);
        _code.StoreScaled(State, R10, 3, tags, Rcx);
        int link = _cache.NewReturn(_code.LeaForward(Rcx));
        _code.StoreScaled(State, R10, 3, tags + ReturnCache.CodeAt, Rcx);
        Later(OutOfLineKind.ReturnLink, null, argument: (uint)link);
    }

    // Makes sure that the word below the stack pointer can be stored to.
    private Place EmitPushSlot() => EmitStackOperand(GuestRegisters.StackPointer, -_wordBytes, isWrite: true);

    private void EmitPushed(Place slot, int register)
    {
        if (_variant.IsLegacy)
        {
            EmitLegacyPushed(slot, register, LegacyWordBytes);
            return;
        }

        _code.StoreIndexed(slot.Base, R10, slot.Displacement, register);
        _code.Lea(GuestRegisters.StackPointer, GuestRegisters.StackPointer, -WordBytes);
    }

    private bool EmitReturn(in Instruction instruction)
    {
        if (_variant.IsSegmented)
        {
            return EmitSegmentedReturn(instruction);
        }

        if (instruction.Code is not (Code.Retnq or Code.Retnq_imm16 or Code.Retnd or Code.Retnd_imm16))
        {
            return EmitInterpreted(instruction);
        }

        int extra = instruction.Code is Code.Retnq_imm16 or Code.Retnd_imm16 ? instruction.Immediate16 : 0;
        Place slot = EmitStackOperand(GuestRegisters.StackPointer, 0, isWrite: false);
        _code.LoadIndexed(!_variant.IsLegacy, R9, slot.Base, R10, 0, slot.Displacement);
        ForgetWindows();
        int tags = StateOffset.Returns(_variant.Set);
        _code.Pext(R10, GuestRegisters.StackPointer, State, StateOffset.ReturnSlotBits);
        _code.LoadIndexed(Rcx, State, R10, 3, tags);
        _code.LeaIndexed(wide: true, Rcx, Rcx, R9, 0, 1 - (int)ReturnCache.TagSum);
        byte* look = _code.JumpUnlessRcxIsOne();
        EmitMoveStackPointer(_wordBytes + extra, Rcx);
        _code.JumpIndexed(State, R10, tags + ReturnCache.CodeAt);
        Later(OutOfLineKind.Return, look, argument: (uint)extra);
        return true;
    }

    // A return to where no call that is known came from.
    private void EmitReturn(in OutOfLine part)
    {
        _code.Land((byte*)part.Hole);
        EmitKnownTarget();
        EmitMoveStackPointer(_wordBytes + (int)part.Argument, Rcx);
        _code.JumpIndexed(State, R10, StateOffset.Jumps(_variant.Set) + JumpCache.CodeAt);
    }

    private bool TryEmitPush(in Instruction instruction)
    {
        if (_variant.IsLegacy)
        {
            return TryEmitLegacyPush(instruction);
        }

        switch (instruction.Code)
        {
            case Code.Push_r64:
            case Code.Push_rm64 when instruction.Op0Kind == OpKind.Register:
                Place slot = EmitPushSlot();
                int guest = instruction.Op0Register - Register.RAX;
                int host = GuestRegisters.HostOf(guest);
                if (host < 0)
                {
                    host = Rcx;
                    _code.Load(host, State, StateOffset.Gpr(guest));
                }

                EmitPushed(slot, host);
                return true;
            case Code.Pushq_imm8:
            case Code.Pushq_imm32:
                slot = EmitPushSlot();
                _code.StoreImmediateIndexed(
                    slot.Base, R10, slot.Displacement, (int)(long)instruction.GetImmediate(0));
                _code.Lea(GuestRegisters.StackPointer, GuestRegisters.StackPointer, -WordBytes);
                return true;
            case Code.Push_rm64 when IsAddressable(instruction):
                Place source = EmitOperand(instruction, WordBytes, isWrite: false);
                _code.LoadIndexed(Rcx, source.Base, R10, 0, source.Displacement);
                _code.Store(State, StateOffset.SavedTarget, Rcx);
                slot = EmitPushSlot();
                _code.Load(Rcx, State, StateOffset.SavedTarget);
                EmitPushed(slot, Rcx);
                return true;
            default:
                return false;
        }
    }

    private bool TryEmitPop(in Instruction instruction)
    {
        if (_variant.IsLegacy)
        {
            return TryEmitLegacyPop(instruction);
        }

        if (instruction.Op0Kind != OpKind.Register || instruction.Op0Register.GetSize() != WordBytes
            || !instruction.Op0Register.IsGPR())
        {
            return false;
        }

        int guest = instruction.Op0Register - Register.RAX;
        int host = GuestRegisters.HostOf(guest);
        Place slot = EmitStackOperand(GuestRegisters.StackPointer, 0, isWrite: false);
        if (host < 0)
        {
            _code.LoadIndexed(Rcx, slot.Base, R10, 0, slot.Displacement);
            _code.Store(State, StateOffset.Gpr(guest), Rcx);
        }
        else
        {
            _code.LoadIndexed(host, slot.Base, R10, 0, slot.Displacement);
        }

        if (host != GuestRegisters.StackPointer)
        {
            _code.Lea(GuestRegisters.StackPointer, GuestRegisters.StackPointer, WordBytes);
        }

        return true;
    }

    private bool TryEmitLeave(in Instruction instruction)
    {
        if (_variant.IsLegacy)
        {
            return TryEmitLegacyLeave(instruction);
        }

        if (instruction.Code != Code.Leaveq)
        {
            return false;
        }

        Place slot = EmitStackOperand(GuestRegisters.FramePointer, 0, isWrite: false);
        _code.LoadIndexed(Rcx, slot.Base, R10, 0, slot.Displacement);
        _code.Lea(GuestRegisters.StackPointer, GuestRegisters.FramePointer, WordBytes);
        _code.Move(GuestRegisters.FramePointer, Rcx);
        return true;
    }
}
