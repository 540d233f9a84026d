using Iced.Intel;
using static Hypervisor.Cpu.Translation.HostRegister;

namespace Hypervisor.Cpu.Translation;

/// <content>DIV and IDIV: the host's, once it is sure that they do not fault.</content>
internal sealed unsafe partial class BlockTranslator
{
    private const int AboveOrEqual = 3;
    private const int NotEqual = 5;
    private const int BelowOrEqual = 6;

    // The guard passes what compilers produce: a high half of 0 or of the sign. All else is interpreted, and so is
    // what faults. The arithmetic flags are undefined behind a division, but as they were if it faults.
    private bool TryEmitDivision(in Instruction instruction)
    {
        bool isWide;
        switch (instruction.Code)
        {
            case Code.Div_rm32 or Code.Idiv_rm32:
                isWide = false;
                break;
            case Code.Div_rm64 or Code.Idiv_rm64:
                isWide = true;
                break;
            default:
                return false;
        }

        if (instruction.HasLockPrefix || (instruction.Op0Kind == OpKind.Memory && !IsAddressable(instruction)))
        {
            return false;
        }

        EmitDivisor(instruction, isWide);
        _code.Store(State, StateOffset.SavedRax, Rax);
        _code.PackFlags();
        _code.Move(Rcx, Rax);
        _code.Load(Rax, State, StateOffset.SavedRax);
        if (instruction.Mnemonic == Mnemonic.Div)
        {
            _code.Compare(isWide, Rdx, R9);
            Later(OutOfLineKind.Division, _code.JumpForwardIf(AboveOrEqual));
            _code.Divide(isWide, R9);
            return true;
        }

        ReleaseR10();
        _code.MoveSigns(isWide, R10, Rax);
        _code.Compare(isWide, R10, Rdx);
        Later(OutOfLineKind.Division, _code.JumpForwardIf(NotEqual));
        _code.LeaIndexed(isWide, R10, R9, -1, 0, 1);
        _code.CompareWithOne(isWide, R10); // divisors -1 and 0
        Later(OutOfLineKind.Division, _code.JumpForwardIf(BelowOrEqual));
        _code.DivideSigned(isWide, R9);
        return true;
    }

    private void EmitDivisor(in Instruction instruction, bool isWide)
    {
        if (instruction.Op0Kind == OpKind.Memory)
        {
            Place place = EmitOperand(instruction, isWide ? 8 : 4, isWrite: false);
            _code.LoadIndexed(isWide, R9, place.Base, R10, 0, place.Displacement);
            return;
        }

        int guest = instruction.Op0Register.GetFullRegister() - Register.RAX;
        int host = GuestRegisters.HostOf(guest);
        if (host < 0)
        {
            _code.Load(R9, State, StateOffset.Gpr(guest));
        }
        else
        {
            _code.Move(R9, host);
        }
    }

    private void EmitDivisionGuard(byte* hole)
    {
        _code.Land(hole);
        _code.Store(State, StateOffset.SavedRax, Rax);
        _code.Move(Rax, Rcx);
        _code.UnpackFlags();
        _code.Load(Rax, State, StateOffset.SavedRax);
        EmitCount(_uncounted);
        EmitLinear(_offset);
        EmitExit(ExitReason.InterpretOne);
    }
}
