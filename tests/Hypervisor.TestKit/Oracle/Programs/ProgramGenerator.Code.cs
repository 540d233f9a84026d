using Iced.Intel;
using static Hypervisor.TestKit.Oracle.Programs.ProgramLayout;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <content>
/// Stores to code. Through the address that is executed, so an x86 CPU sees them at the next instruction.
/// Spec: SDM volume 3, 12.6; AMD64 APM volume 2, 7.6.1.
/// </content>
internal sealed partial class ProgramGenerator
{
    private const int CopyBytes = 48;

    // The label's address is put in.
    private static readonly MemoryOperand s_relative = new(Register.RIP, 0L, 8);

    private void ChangeCode()
    {
        switch (_random.Next(7))
        {
            case 0:
                ChangeAhead();
                break;
            case 1:
                ChangeBehind();
                break;
            case 2:
                FlipCondition();
                break;
            case 3:
                FlipOperation();
                break;
            case 4:
                DataAmongCode();
                break;
            case 5:
                CopyFunction();
                break;
            default:
                ChangeFunction();
                break;
        }
    }

    // A store to the immediate of an instruction soon to come, maybe the next.
    private void ChangeAhead()
    {
        var changed = new ProgramLabel();
        StoreToImmediate(changed);
        Filler(_random.Next(4));
        int beforePageEnd = 0;
        if (_pageJumpCount < PageJumpsMax && _random.Next(5) == 0)
        {
            _pageJumpCount++;
            beforePageEnd = _random.Next(1, 6);
            _builder.EmitBranch(Code.Jmp_rel32_64, changed);
        }

        Changed(changed, beforePageEnd);
    }

    // The next time around the loop it is another instruction.
    private void ChangeBehind()
    {
        var changed = new ProgramLabel();
        Changed(changed, 0);
        Filler(_random.Next(4));
        StoreToImmediate(changed);
    }

    private void FlipCondition()
    {
        var branch = new ProgramLabel();
        var skip = new ProgramLabel();
        bool hasPrefix = _mode.Bits == 16 && _mode.WordBytes == 4;
        Flip(branch, hasPrefix ? 2 : 1, 1); // the second byte's lowest bit negates the condition
        Filler(_random.Next(3));
        Code code = Condition(isNear: true);
        _builder.Place(branch);
        _builder.EmitBranch(code, skip);
        Filler(_random.Next(1, 3));
        _builder.Place(skip);
    }

    private void FlipOperation()
    {
        const int Add = 0x01;
        int[] others = [0x29, 0x11, 0x19, 0x39]; // SUB, ADC, SBB, CMP: all define all flags
        int number = _registers.Free(_random);
        if (number >= 8)
        {
            return; // a prefix would come first
        }

        var operation = new ProgramLabel();
        Flip(operation, _mode.Bits == 16 ? 1 : 0, Add ^ others[_random.Next(others.Length)]);
        Filler(_random.Next(2));
        _builder.DefineFlags();
        _builder.Place(operation);
        _builder.Emit(Instruction.Create(
            Code.Add_rm32_r32, ProgramRegisters.Low32(number), ProgramRegisters.Low32(_random.Next(8))));
    }

    private void Flip(ProgramLabel target, int offset, int bits) => _builder.Emit(
        Instruction.Create(Code.Xor_rm8_imm8, s_relative, bits),
        ProgramFixup.Memory,
        target,
        offset);

    private void DataAmongCode()
    {
        var data = new ProgramLabel();
        var over = new ProgramLabel();
        _builder.EmitBranch(Code.Jmp_rel32_64, over);
        _builder.Place(data);
        _builder.EmitBytes(new byte[16]);
        _builder.Place(over);
        Instruction store = Store();
        _builder.Emit(store, ProgramFixup.Memory, data, _random.Next(12));
        Filler(_random.Next(2));
        Instruction load = Instruction.Create(
            Code.Mov_r32_rm32,
            ProgramRegisters.Low32(_registers.Free(_random)),
            s_relative);
        _builder.Emit(load, ProgramFixup.Memory, data, _random.Next(12));
    }

    // Copies a function to where another one was, and calls it.
    private void CopyFunction()
    {
        if (!_registers.IsFree(6) || !_registers.IsFree(7) || !_registers.IsFree(1) || _functions.Count > 3
            || _mode.Kind is not (ProgramKind.Long or ProgramKind.Flat32))
        {
            return;
        }

        int number = _registers.Free(_random);
        ProgramLabel source = _builder.EmitSection(FunctionAddress(), _builder.Weight, _ =>
        {
            Instruction body = Instruction.Create(Code.Add_rm32_imm32, ProgramRegisters.Low32(number), 0x1234_5678);
            _builder.Emit(body);
            _builder.Emit(Instruction.Create(Code.Not_rm64, ProgramRegisters.Full(number)));
            Return();
            _builder.EmitBytes(new byte[CopyBytes]);
        });
        ProgramLabel copy = _builder.EmitSection(
            CodeAddress + (ulong)_random.Next(2 * PageBytes), 0, _ => _builder.EmitBytes(new byte[CopyBytes + 1]));
        if (_random.Next(2) == 0)
        {
            StoreToImmediate(source);
        }

        _builder.Emit(MoveAddress(6), ProgramFixup.Immediate, source);
        _builder.Emit(MoveAddress(7), ProgramFixup.Immediate, copy);
        bool isWide = _random.Next(2) == 0;
        _builder.Emit(Instruction.Create(Code.Mov_r32_imm32, Register.ECX, isWide ? CopyBytes / 8 : CopyBytes));
        var move = new Instruction { Code = isWide ? Code.Movsq_m64_m64 : Code.Movsb_m8_m8 };
        FillStringOperands(ref move);
        move.HasRepPrefix = true;
        _builder.Emit(move);
        _builder.DefineFlags();
        Call(copy);
    }

    private void ChangeFunction()
    {
        if (_functions.Count >= FunctionsMax)
        {
            return;
        }

        var changed = new ProgramLabel();
        ProgramLabel entry = _builder.EmitSection(FunctionAddress(), _builder.Weight, _ =>
        {
            Filler(_random.Next(2));
            Changed(changed, 0);
            Return();
        });
        StoreToImmediate(changed);
        Filler(_random.Next(2));
        _builder.DefineFlags();
        Call(entry);
    }

    // An instruction with an immediate of 4 bytes, without which flags would be the same flags.
    private void Changed(ProgramLabel label, int beforePageEnd)
    {
        int number = _registers.Free(_random);
        Register low = ProgramRegisters.Low32(number);
        Instruction instruction = _random.Next(7) switch
        {
            0 => Instruction.Create(Code.Mov_r32_imm32, low, 1),
            1 => Instruction.Create(Code.Add_rm32_imm32, low, 0x1000),
            2 => Instruction.Create(Code.Cmp_rm32_imm32, low, 0x1000),
            3 => Instruction.Create(Code.And_rm32_imm32, low, -0x1000),
            4 => Instruction.Create(Code.Imul_r32_rm32_imm32, low, AnyLow32(), 0x1001),
            5 => Instruction.Create(Code.Mov_rm32_imm32, Absolute(_filler.Target(4)), 0x1234),
            _ => Instruction.Create(Code.Mov_r64_imm64, ProgramRegisters.Full(number), 0x1234_5678_9ABC_DEF0),
        };
        _builder.Place(label);
        _builder.Emit(instruction, beforePageEnd: beforePageEnd);
    }

    private Register AnyLow32() => ProgramRegisters.Low32(_random.Next(_registers.Count));

    private void StoreToImmediate(ProgramLabel changed)
    {
        Instruction store = Store();
        int last = store.MemorySize.GetSize() == 1 ? 3 : 0;
        _builder.Emit(store, ProgramFixup.MemoryOfImmediate, changed, _random.Next(last + 1));
    }

    private Instruction Store()
    {
        MemoryOperand place = s_relative;
        int number = _registers.Free(_random);
        Register low = ProgramRegisters.Low32(number);
        Instruction store = _random.Next(8) switch
        {
            0 => Instruction.Create(Code.Add_rm32_r32, place, low),
            1 => Instruction.Create(Code.Mov_rm8_r8, place, Register.AL),
            2 => Instruction.Create(Code.Inc_rm8, place),
            3 => Instruction.Create(Code.Xchg_rm32_r32, place, low),
            4 => Instruction.Create(Code.Xadd_rm32_r32, place, low),
            5 => Instruction.Create(Code.Movd_rm32_xmm, place, Register.XMM0 + _random.Next(_registers.Count)),
            _ => Instruction.Create(Code.Mov_rm32_r32, place, low),
        };
        if (store.Code is Code.Xadd_rm32_r32 or Code.Inc_rm8 && _random.Next(2) == 0)
        {
            store.HasLockPrefix = true;
        }

        return store;
    }
}
