using Hypervisor.Cpu.Paging;
using Iced.Intel;
using static Hypervisor.Cpu.Translation.HostRegister;

namespace Hypervisor.Cpu.Translation;

/// <content>STOS and MOVS: the host's, once it is sure that they stay on their pages and go upwards.</content>
internal sealed unsafe partial class BlockTranslator
{
    private bool TryEmitString(in Instruction instruction)
    {
        int shift = instruction.Code switch
        {
            Code.Stosb_m8_AL or Code.Movsb_m8_m8 => 0,
            Code.Stosd_m32_EAX or Code.Movsd_m32_m32 => 2,
            Code.Stosq_m64_RAX or Code.Movsq_m64_m64 => 3,
            _ => -1,
        };
        bool isMove = instruction.Op1Kind == OpKind.MemorySegRSI;
        if (_variant.IsLegacy)
        {
            return shift >= 0 && TryEmitLegacyString(instruction, shift);
        }

        if (shift < 0 || instruction.Op0Kind != OpKind.MemoryESRDI || instruction.HasLockPrefix
            || instruction.HasRepnePrefix || (isMove && instruction.MemorySegment is Register.FS or Register.GS))
        {
            return false;
        }

        EmitString(shift, isMove, instruction.HasRepPrefix);
        return true;
    }

    private void EmitString(int shift, bool isMove, bool isRepeated)
    {
        ReleaseR10();
        _code.Load(R10, State, StateOffset.Rflags);
        _code.Pext(Rcx, R10, State, StateOffset.DirectionBit);
        EmitUnlessZero();
        if (isRepeated)
        {
            // No more than a page has bytes: then nothing below wraps.
            _code.Pext(Rcx, GuestRegisters.Counter, State, StateOffset.PageBits);
            EmitUnlessZero();
        }

        EmitStringCheck(Rdi, shift, isRepeated, isWrite: true);
        if (isMove)
        {
            _code.Store(State, StateOffset.SavedTarget, R10);
            EmitStringCheck(Rsi, shift, isRepeated, isWrite: false);
            _code.Load(R9, State, StateOffset.SavedTarget);
            _code.LeaIndexed(wide: true, Rsi, Rsi, R10, 0, 0);
            _code.LeaIndexed(wide: true, Rdi, Rdi, R9, 0, 0);
        }
        else
        {
            _code.Move(R9, R10);
            _code.LeaIndexed(wide: true, Rdi, Rdi, R10, 0, 0);
        }

        _code.Move(Rcx, GuestRegisters.Counter);
        _code.String(isMove, shift, isRepeated);
        _code.Move(GuestRegisters.Counter, Rcx);
        EmitBackToLinear(Rdi, R9);
        if (isMove)
        {
            EmitBackToLinear(Rsi, R10);
        }
    }

    // R10 = host minus linear address, if the first and the last byte lie on a page that may be accessed.
    private void EmitStringCheck(int pointer, int shift, bool isRepeated, bool isWrite)
    {
        int tags = StateOffset.Tlb(_variant.Mode, isWrite ? TlbEntry.WriteAt : TlbEntry.ReadAt);
        EmitTlbSlot(pointer);
        _code.LoadIndexed(Rcx, State, R10, 3, tags);
        _code.LeaIndexed(wide: true, Rcx, Rcx, pointer, 0, 0);
        _code.Pext(Rcx, Rcx, State, StateOffset.PageBits);
        Later(OutOfLineKind.InterpretOne, _code.JumpUnlessRcxIsOne());
        if (isRepeated)
        {
            _code.LeaIndexed(wide: true, R9, pointer, GuestRegisters.Counter, shift, -1);
        }
        else
        {
            _code.Lea(R9, pointer, (1 << shift) - 1);
        }

        _code.LoadIndexed(Rcx, State, R10, 3, tags);
        _code.LeaIndexed(wide: true, Rcx, Rcx, R9, 0, 0);
        _code.Pext(Rcx, Rcx, State, StateOffset.PageBits);
        Later(OutOfLineKind.InterpretOne, _code.JumpUnlessRcxIsOne());
        _code.LoadIndexed(R10, State, R10, 3, StateOffset.Tlb(_variant.Mode, TlbEntry.AddendAt));
    }

    private void EmitBackToLinear(int pointer, int addend)
    {
        _code.Not(addend);
        _code.LeaIndexed(!_variant.IsLegacy, pointer, pointer, addend, 0, 1);
    }
}
