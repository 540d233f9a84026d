using System;
using Iced.Intel;
using static Hypervisor.TestKit.Oracle.Programs.ProgramLayout;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <content>Odd returns and jumps.</content>
internal sealed partial class ProgramGenerator
{
    private const int TableAt = 0x80;
    private const int TableWordsMax = (KeptBytes - TableAt) / 8;

    // Returns that do not match a call, and calls that are not returned from.
    private void OddReturn(int depth)
    {
        _builder.DefineFlags();
        var after = new ProgramLabel();
        int number = _registers.Free(_random);
        switch (_random.Next(4))
        {
            case 0:
                _builder.Emit(Instruction.Create(Code.Pushq_imm32, 0), ProgramFixup.Immediate, after);
                Filler(_random.Next(3));
                Return();
                break;
            case 1:
                _builder.EmitBranch(Code.Call_rel32_64, after);
                _builder.Place(after);
                _builder.Emit(Instruction.Create(Code.Pop_r64, ProgramRegisters.Full(number)));
                return;
            case 2 when _functions.Count < FunctionsMax:
                ProgramLabel leaving = _builder.EmitSection(FunctionAddress(), _builder.Weight, _ =>
                {
                    Statements(depth + 1, 1);
                    _builder.Emit(Instruction.Create(
                        Code.Lea_r64_m, Register.RSP, new MemoryOperand(Register.RSP, _mode.WordBytes)));
                    _builder.EmitBranch(Code.Jmp_rel32_64, after);
                });
                Call(leaving);
                break;
            default:
                ProgramLabel moving = _builder.EmitSection(FunctionAddress(), _builder.Weight, _ =>
                {
                    Instruction store = Instruction.Create(
                        _mode.WordBytes == 2 ? Code.Mov_rm16_imm16 : Code.Mov_rm32_imm32,
                        new MemoryOperand(Register.RSP),
                        0);
                    _builder.Emit(store, ProgramFixup.Immediate, after);
                    Return();
                });
                Call(moving);
                break;
        }

        _builder.EmitBytes([0x0F, 0x0B]);
        _builder.Place(after);
    }

    private void IndirectJump()
    {
        _builder.DefineFlags();
        var target = new ProgramLabel();
        if (_random.Next(2) == 0 && _tableWords < TableWordsMax)
        {
            _builder.Emit(Instruction.Create(Code.Jmp_rm64, Absolute(Word(target))));
        }
        else
        {
            int number = _registers.Free(_random);
            _builder.Emit(MoveAddress(number), ProgramFixup.Immediate, target);
            uint reserved = _registers.Reserved;
            _registers.Reserved |= 1u << number;
            Filler(_random.Next(3));
            _builder.DefineFlags();
            _registers.Reserved = reserved;
            _builder.Emit(Instruction.Create(Code.Jmp_rm64, ProgramRegisters.Full(number)));
        }

        _builder.EmitBytes([0x0F, 0x0B]);
        _builder.Place(target);
    }

    // A jump to one of four places, chosen by a register.
    private void TableJump()
    {
        const int Ways = 4;
        if (_tableWords + Ways > TableWordsMax)
        {
            return;
        }

        int number = _registers.Free(_random);
        ProgramLabel[] ways = [new(), new(), new(), new()];
        var end = new ProgramLabel();
        ulong table = Word(ways[0]);
        for (int i = 1; i < Ways; i++)
        {
            Word(ways[i]);
        }

        int index = _innermost.Register >= 0 && _random.Next(2) == 0
            ? _innermost.Register
            : _random.Next(_registers.Count);
        _builder.Emit(Instruction.Create(
            Code.Mov_r32_rm32, ProgramRegisters.Low32(number), ProgramRegisters.Low32(index)));
        _builder.Emit(Instruction.Create(Code.And_rm32_imm8, ProgramRegisters.Low32(number), Ways - 1));
        foreach (ProgramLabel way in ways)
        {
            way.Undefined = RflagsBits.AF; // AND left it open
        }

        var place = new MemoryOperand(
            Register.None, ProgramRegisters.Full(number), 8, (long)table, 8, false, Register.None);
        _builder.Emit(Instruction.Create(Code.Jmp_rm64, place));
        for (int i = 0; i < Ways; i++)
        {
            _builder.Place(ways[i]);
            Filler(_random.Next(3));
            if (i < Ways - 1)
            {
                _builder.EmitBranch(Code.Jmp_rel32_64, end);
            }
        }

        _builder.Place(end);
    }

    private void PageJump()
    {
        if (_pageJumpCount == PageJumpsMax)
        {
            return;
        }

        _pageJumpCount++;
        var target = new ProgramLabel();
        _builder.EmitBranch(Code.Jmp_rel32_64, target);
        _builder.Place(target);
        Instruction first = _picker.Pick(_groups.Integer, _builder.Undefined);
        _builder.Emit(first, beforePageEnd: _random.Next(1, 8));
        Filler(_random.Next(1, 3));
    }

    // Into the immediate of MOV, which holds one-byte instructions.
    private void MiddleJump()
    {
        ReadOnlySpan<byte> small = [0x90, 0xF8, 0xF9, 0xF5, 0x98, 0xFC];
        uint immediate = 0;
        for (int i = 0; i < 4; i++)
        {
            immediate = (immediate << 8) | small[_random.Next(small.Length)];
        }

        _builder.DefineFlags();
        var move = new ProgramLabel();
        _builder.EmitBranch(Condition(isNear: true), move, offset: 1);
        _builder.Place(move);
        _builder.Emit(Instruction.Create(Code.Mov_r32_imm32, Register.EAX, immediate)).IsKept = true;
    }

    private static MemoryOperand Absolute(ulong address)
        => new(Register.None, Register.None, 1, (long)address, 8, false, Register.None);

    private static Instruction MoveAddress(int number)
        => Instruction.Create(Code.Mov_r32_imm32, ProgramRegisters.Low32(number), 0);

    // A word of the data that holds the label's address.
    private ulong Word(ProgramLabel label)
    {
        ulong address = FirstData + TableAt + (ulong)(8 * _tableWords++);
        _program.Words.Add((address, label));
        return address;
    }
}
