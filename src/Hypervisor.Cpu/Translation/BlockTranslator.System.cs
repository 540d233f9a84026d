using Hypervisor.Cpu.Identification;
using Hypervisor.Cpu.Paging;
using Hypervisor.Cpu.State;
using Iced.Intel;
using static Hypervisor.Cpu.Translation.HostRegister;

namespace Hypervisor.Cpu.Translation;

/// <content>Instructions of the system that kernels run all the time, as far as nothing unusual is about.</content>
/// <remarks>
/// In supervisor mode CPL is 0, so no privilege needs a check. While generated code runs, the system flags are in the
/// state and only the arithmetic ones in the host's register.
/// </remarks>
internal sealed unsafe partial class BlockTranslator
{
    private const int HighByteShift = 8;
    private const int OverflowShift = 11;
    private const int ArithmeticInHighByte = 0xD5;

    // RCX = the arithmetic flags; what follows may spoil them, and RAX.
    private void EmitSaveFlags()
    {
        _code.Store(State, StateOffset.SavedRax, Rax);
        _code.PackFlags();
        _code.Move(Rcx, Rax);
    }

    private void EmitRestoreFlags()
    {
        _code.Move(Rax, Rcx);
        _code.UnpackFlags();
        _code.Load(Rax, State, StateOffset.SavedRax);
    }

    private bool TryEmitClearDirection(in Instruction instruction)
    {
        if (instruction.HasLockPrefix)
        {
            return false;
        }

        EmitSaveFlags();
        _code.AndMemory64(State, StateOffset.Rflags, ~(int)Rflags.Direction);
        EmitRestoreFlags();
        return true;
    }

    private bool TryEmitClearInterrupt()
    {
        if (!_variant.IsSupervisor)
        {
            return false;
        }

        EmitSaveFlags();
        _code.AndMemory64(State, StateOffset.Rflags, ~(int)Rflags.Interrupt);
        EmitRestoreFlags();
        return true;
    }

    // With an interrupt waiting, the shadow of STI matters. Without one the next instruction follows in this block,
    // and nothing looks for interrupts between the two.
    private bool TryEmitSetInterrupt(in Instruction instruction)
    {
        if (!_variant.IsSupervisor || (int)instruction.NextIP > _pageHigh - InstructionBytesMax || _isLastOfBlock)
        {
            return false;
        }

        _code.Load(Rcx, State, StateOffset.MayHaveInterrupt);
        byte* isQuiet = _code.JumpShortIfRcxZero();
        Later(OutOfLineKind.InterpretOne, _code.JumpForward());
        _code.LandShort(isQuiet);
        EmitSaveFlags();
        _code.OrMemory64Immediate(State, StateOffset.Rflags, (int)Rflags.Interrupt);
        EmitRestoreFlags();
        return true;
    }

    // STAC and CLAC: the block goes on in the other of the two supervisor modes.
    private bool EmitAccessFlag(in Instruction instruction)
    {
        if (!_variant.IsSupervisor || instruction.HasLockPrefix || _variant.IsSegmented)
        {
            return EmitInterpreted(instruction);
        }

        bool isSet = instruction.Mnemonic == Mnemonic.Stac;
        EmitSaveFlags();
        if (isSet)
        {
            _code.OrMemory64Immediate(State, StateOffset.Rflags, (int)Rflags.AlignmentCheck);
        }
        else
        {
            _code.AndMemory64(State, StateOffset.Rflags, ~(int)Rflags.AlignmentCheck);
        }

        EmitRestoreFlags();
        EmitCount(_uncounted + 1);
        int mode = isSet ? TlbMode.SupervisorOverride : TlbMode.Supervisor;
        _code.Lea(R9, State, StateOffset.Tlb(mode, 0));
        _code.Store(State, StateOffset.CurrentTlb, R9);
        EmitLinear((int)instruction.NextIP);
        EmitJumpTo(mode);
        return true;
    }

    // Answered from a table unless it is the first time, the answer may change, or an event is up: it serializes, so
    // what peers wrote to code is looked at first.
    private bool TryEmitIdentify(in Instruction instruction)
    {
        if (instruction.HasLockPrefix)
        {
            return false;
        }

        InterpretedOperation* record = _cache.Record<InterpretedOperation>();
        _ = _lowering.Lower(instruction, codeMode: 2, &record->Operation);
        ReleaseR10();
        _code.Load(Rcx, State, StateOffset.Events);
        _code.Lea(Rcx, Rcx, 1);
        Later(new OutOfLine(OutOfLineKind.Interpret, (nint)_code.JumpUnlessRcxIsOne(), 0, _offset, 0)
        {
            Hit = (nint)record,
        });
        _code.LeaIndexed(wide: false, R9, Rax, -1, 0, 0);
        _code.LeaIndexed(wide: false, R10, GuestRegisters.Counter, -1, 0, 0);
        _code.RotateRight(R10, R10, 32);
        _code.LeaIndexed(wide: true, R9, R9, R10, 0, 0);
        _code.Pext(R10, R9, State, StateOffset.AnswerSlotBits);
        _code.LoadIndexed(Rcx, State, R10, 3, VcpuMemory.AnswersAt);
        _code.LeaIndexed(wide: true, Rcx, Rcx, R9, 0, 0);
        Later(new OutOfLine(OutOfLineKind.Interpret, (nint)_code.JumpUnlessRcxIsOne(), 0, _offset, 0)
        {
            Hit = (nint)record,
        });
        const int firstPair = VcpuMemory.AnswersAt + KnownAnswers.FirstPairAt;
        const int secondPair = VcpuMemory.AnswersAt + KnownAnswers.SecondPairAt;
        _code.LoadIndexed(wide: false, Rax, State, R10, 3, firstPair);
        _code.LoadIndexed(wide: false, Rbx, State, R10, 3, firstPair + sizeof(uint));
        _code.LoadIndexed(wide: false, GuestRegisters.Counter, State, R10, 3, secondPair);
        _code.LoadIndexed(wide: false, Rdx, State, R10, 3, secondPair + sizeof(uint));
        return true;
    }

    private bool TryEmitSwapGs(in Instruction instruction)
    {
        if (!_variant.IsSupervisor || instruction.HasLockPrefix)
        {
            return false;
        }

        ReleaseR10();
        int active = StateOffset.SegmentBase(SegmentRegister.Gs);
        _code.Load(R9, State, active);
        _code.Load(R10, State, StateOffset.KernelGsBase);
        _code.Store(State, active, R10);
        _code.Store(State, StateOffset.KernelGsBase, R9);
        return true;
    }

    private bool TryEmitPushFlags(in Instruction instruction)
    {
        const int notPushed = (int)(Rflags.Arithmetic | Rflags.Resume | Rflags.Virtual8086);
        if (instruction.HasLockPrefix || (_variant.IsCode16 && !_variant.IsSupervisor)) // virtual-8086 mode perhaps
        {
            return false;
        }

        int sizeBytes = -instruction.StackPointerIncrement;
        Place slot = _variant.IsLegacy
            ? EmitLegacyStackOperand(GuestRegisters.StackPointer, -sizeBytes, sizeBytes, isWrite: true)
            : EmitPushSlot();
        EmitSaveFlags();
        _code.Move(Rax, Rcx);
        _code.ShiftRight32(Rax, HighByteShift);
        _code.And32(Rax, ArithmeticInHighByte);
        _code.Store(State, StateOffset.SavedTarget, Rax);
        _code.Move(Rax, Rcx);
        _code.And32(Rax, 1); // OF
        _code.ShiftLeft32(Rax, OverflowShift);
        _code.OrMemory64(State, StateOffset.SavedTarget, Rax);
        _code.Load(Rax, State, StateOffset.Rflags);
        _code.And32(Rax, ~(uint)notPushed);
        _code.OrMemory64(State, StateOffset.SavedTarget, Rax);
        _code.Load(Rax, State, StateOffset.SavedTarget);
        _code.StoreIndexed(sizeBytes, slot.Base, R10, slot.Displacement, Rax);
        EmitRestoreFlags();
        EmitMoveStackPointer(-sizeBytes, R9);
        return true;
    }

    // Loads what masks all exceptions; anything else changes what this code takes for granted.
    private bool TryEmitLoadMxcsr(in Instruction instruction)
    {
        bool isEnabled = instruction.Mnemonic == Mnemonic.Vldmxcsr ? _variant.HasAvx : _variant.HasSse;
        if (!isEnabled || _variant.IsSupervisor || !IsCopied(instruction) || !IsAddressable(instruction))
        {
            return false;
        }

        Place place = EmitOperand(instruction, 4, isWrite: false);
        ReleaseR10();
        _code.LoadIndexed(wide: false, R10, place.Base, R10, 0, place.Displacement);
        _code.Store(State, StateOffset.SavedTarget, R10);
        _code.Pext(Rcx, R10, State, StateOffset.MxcsrReservedBits);
        EmitUnlessZero();
        _code.Not(R10);
        _code.Pext(Rcx, R10, State, StateOffset.MxcsrMaskBits);
        EmitUnlessZero();
        _code.LoadMxcsr(State, StateOffset.SavedTarget);
        return true;
    }

    // RCX is not 0: the interpreter does it.
    private void EmitUnlessZero()
    {
        _code.Lea(Rcx, Rcx, 1);
        Later(OutOfLineKind.InterpretOne, _code.JumpUnlessRcxIsOne());
    }
}
