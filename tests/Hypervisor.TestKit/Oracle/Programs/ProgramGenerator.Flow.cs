using System;
using Iced.Intel;
using static Hypervisor.TestKit.Oracle.Programs.ProgramLayout;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <content>Loops, calls and recursion.</content>
internal sealed partial class ProgramGenerator
{
    private const int SlotsMax = 16;

    // Not in the last page: sections before it may push it on.
    private ulong FunctionAddress() => CodeAddress + (ulong)_random.Next(CodePages * PageBytes * 3 / 4);

    private void Loop(int depth)
    {
        double room = (1.5 * RunCountMax) - _builder.RunCount;
        int most = (int)Math.Min(ProgramRegisters.IndexMax, room / (_builder.Weight * 25));
        if (most < 2 || _slotCount == SlotsMax)
        {
            Filler(2);
            return;
        }

        int wish = depth == 0 ? _random.Next(50, ProgramRegisters.IndexMax) : _random.Next(2, 60);
        int count = Math.Min(wish, most);
        double outer = _builder.Weight;
        (int Register, int Count) outerLoop = _innermost;
        if (_countersInUse < _registers.Counters.Count)
        {
            RegisterLoop(depth, count);
        }
        else if (_random.Next(3) == 0 && _registers.IsFree(1))
        {
            CountedByRcx(depth, count);
        }
        else
        {
            MemoryLoop(depth, count);
        }

        (_builder.Weight, _innermost) = (outer, outerLoop);
    }

    private void Body(int depth, int count)
    {
        _builder.Weight *= count;
        Statements(depth + 1, _random.Next(1, 6));
    }

    private void RegisterLoop(int depth, int count)
    {
        int number = _registers.Counters[_countersInUse++];
        Register full = ProgramRegisters.Full(number);
        Register low = ProgramRegisters.Low32(number);
        _innermost = (number, count);
        var middle = new ProgramLabel();
        _builder.Emit(Instruction.Create(Code.Mov_r32_imm32, low, count));
        bool walks = depth == 0 && _registers.Walker is not null && _taste is 3 or 4 && _random.Next(3) == 0;
        int stride = walks ? StartWalk(count) : 0;
        bool entersMiddle = _random.Next(5) == 0;
        if (entersMiddle)
        {
            _builder.EmitBranch(Code.Jmp_rel32_64, middle);
        }

        ProgramLabel head = _builder.PlaceHead();
        if (walks)
        {
            Walk(stride);
        }

        Body(depth, count);
        if (entersMiddle)
        {
            _builder.Place(middle);
            Statements(depth + 1, 2);
        }

        if ((_builder.Undefined & ~head.Undefined) != 0)
        {
            _builder.DefineFlags(); // before the count, which must still be in the flags at the branch
        }

        switch (_random.Next(5))
        {
            case 0:
                _builder.Emit(Instruction.Create(Code.Sub_rm64_imm8, full, 1));
                _builder.EmitBranch(Code.Ja_rel32_64, head);
                break;
            case 1:
                _builder.Emit(Instruction.Create(Code.Lea_r64_m, full, new MemoryOperand(full, -1)));
                _builder.Emit(Instruction.Create(Code.Test_rm32_r32, low, low));
                _builder.EmitBranch(Code.Jne_rel32_64, head);
                break;
            case 2:
                _builder.Emit(Instruction.Create(Code.Add_rm32_imm8, low, -1));
                _builder.EmitBranch(Code.Jg_rel32_64, head);
                break;
            case 3:
                _builder.Emit(Instruction.Create(Code.Dec_rm64, full));
                Keeper();
                _builder.EmitBranch(Code.Jne_rel32_64, head);
                break;
            default:
                _builder.Emit(Instruction.Create(Code.Dec_rm32, low));
                _builder.EmitBranch(Code.Jne_rel32_64, head);
                break;
        }

        _countersInUse--;
    }

    private void MemoryLoop(int depth, int count)
    {
        ulong slot = FirstData + (ulong)(8 * _slotCount++);
        _builder.Emit(Instruction.Create(Code.Mov_rm32_imm32, Absolute(slot), count));
        ProgramLabel head = _builder.PlaceHead();
        Body(depth, count);
        if ((_builder.Undefined & ~head.Undefined) != 0)
        {
            _builder.DefineFlags();
        }

        bool isLocked = _random.Next(3) == 0;
        Instruction step = Instruction.Create(isLocked ? Code.Sub_rm32_imm8 : Code.Dec_rm32, Absolute(slot));
        if (isLocked)
        {
            step = Instruction.Create(Code.Sub_rm32_imm8, Absolute(slot), 1);
            step.HasLockPrefix = true;
        }

        _builder.Emit(step);
        _builder.EmitBranch(Code.Jne_rel32_64, head);
    }

    private void CountedByRcx(int depth, int count)
    {
        _builder.Emit(Instruction.Create(Code.Mov_r32_imm32, Register.ECX, count));
        uint reserved = _registers.Reserved;
        _registers.Reserved |= 2;
        ProgramLabel head = _builder.PlaceHead();
        Body(depth, count);
        if ((_builder.Undefined & ~head.Undefined) != 0)
        {
            _builder.DefineFlags();
        }

        var again = new ProgramLabel();
        var end = new ProgramLabel();
        _builder.EmitBranch(Code.Loop_rel8_64_RCX, again);
        _builder.EmitBranch(Code.Jmp_rel32_64, end);
        _builder.Place(again);
        _builder.EmitBranch(Code.Jmp_rel32_64, head);
        _builder.Place(end);
        _registers.Reserved = reserved;
    }

    private void CallFunction(int depth)
    {
        _builder.DefineFlags();
        int chosen = _functions.Count == 0 ? -1 : _random.Next(_functions.Count);
        bool reuses = chosen >= 0
            && CanCall(_functions[chosen].Reserved, _functions[chosen].Counters)
            && _random.Next(2) == 0;
        if (!reuses && _functions.Count >= FunctionsMax)
        {
            Filler(2);
            return;
        }

        if (!reuses)
        {
            double before = _builder.RunCount;
            double weight = _builder.Weight;
            uint reserved = _registers.Reserved;
            ProgramLabel entry = _builder.EmitSection(FunctionAddress(), weight, _ => Function(depth));
            _functions.Add((entry, _countersInUse, reserved, (_builder.RunCount - before) / weight));
            chosen = _functions.Count - 1;
        }
        else
        {
            _builder.RunCount += _functions[chosen].Cost * _builder.Weight;
        }

        Call(_functions[chosen].Entry);
    }

    // A function may use only what nobody uses where it is called.
    private bool CanCall(uint reserved, int counters)
        => counters >= _countersInUse && (_registers.Reserved & ~reserved) == 0;

    private void Function(int depth)
    {
        if (_random.Next(3) == 0)
        {
            Instruction first = _picker.Pick(_groups.Integer, RflagsBits.None);
            _builder.Emit(first, beforePageEnd: _random.Next(1, 6));
        }

        Statements(depth + 1, _random.Next(1, 4));
        Return();
    }

    private void Return()
    {
        _builder.DefineFlags();
        _builder.Emit(Instruction.Create(Code.Retnq));
    }

    private void Call(ProgramLabel entry)
    {
        int number = _registers.Free(_random);
        switch (_random.Next(4))
        {
            case 0:
                _builder.Emit(MoveAddress(number), ProgramFixup.Immediate, entry);
                _builder.Emit(Instruction.Create(Code.Call_rm64, ProgramRegisters.Full(number)));
                break;
            case 1 when _tableWords < TableWordsMax:
                _builder.Emit(Instruction.Create(Code.Call_rm64, Absolute(Word(entry))));
                break;
            default:
                _builder.EmitBranch(Code.Call_rel32_64, entry);
                break;
        }
    }

    private void Recursion(int depth)
    {
        if (_slotCount == SlotsMax || _functions.Count >= FunctionsMax || depth > 2)
        {
            return;
        }

        // Rarely so deep that the stack ends; in real mode it does not, but wraps over what loops count with.
        double room = RunCountMax - _builder.RunCount;
        bool isDeep = _random.Next(12) == 0 && !_mode.IsReal;
        int levels = (int)Math.Min(room / (12 * _builder.Weight), isDeep ? 2000 : _random.Next(2, 120));
        if (levels < 2)
        {
            return;
        }

        ulong slot = FirstData + (ulong)(8 * _slotCount++);
        ProgramLabel entry = _builder.EmitSection(FunctionAddress(), _builder.Weight * levels, self =>
        {
            var bottom = new ProgramLabel();
            _builder.Emit(Instruction.Create(Code.Sub_rm32_imm8, Absolute(slot), 1));
            _builder.EmitBranch(Code.Jle_rel32_64, bottom);
            bool pushes = _random.Next(2) == 0;
            if (pushes)
            {
                _builder.Emit(Instruction.Create(Code.Push_r64, ProgramRegisters.Full(_random.Next(_registers.Count))));
            }

            Filler(_random.Next(1, 4));
            _builder.DefineFlags();
            _builder.EmitBranch(Code.Call_rel32_64, self);
            if (pushes)
            {
                _builder.Emit(Instruction.Create(Code.Pop_r64, ProgramRegisters.Full(_registers.Free(_random))));
            }

            Filler(_random.Next(1, 3));
            _builder.Place(bottom);
            Return();
        });
        _builder.Emit(Instruction.Create(Code.Mov_rm32_imm32, Absolute(slot), levels));
        _builder.DefineFlags();
        Call(entry);
    }
}
