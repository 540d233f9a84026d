using System;
using System.Buffers.Binary;
using Hypervisor.Cpu.State;
using Iced.Intel;
using static Hypervisor.TestKit.Oracle.Programs.ProgramLayout;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <content>Stack, strings, division, the flags register, and the initial state.</content>
internal sealed partial class ProgramGenerator
{
    private const int StackRoom = 0x400;
    private const int StringBytesMax = 40;
    private const int TableBytes = 1 << 10;

    private static readonly Code[] s_strings =
    [
        Code.Movsb_m8_m8, Code.Movsw_m16_m16, Code.Movsd_m32_m32, Code.Movsq_m64_m64, Code.Stosb_m8_AL,
        Code.Stosw_m16_AX, Code.Stosd_m32_EAX, Code.Stosq_m64_RAX, Code.Lodsb_AL_m8, Code.Lodsq_RAX_m64,
        Code.Cmpsb_m8_m8, Code.Cmpsd_m32_m32, Code.Scasb_AL_m8, Code.Scasw_AX_m16,
    ];

    private void PushPop()
    {
        int count = _random.Next(1, 6);
        for (int i = 0; i < count; i++)
        {
            _builder.Emit(_random.Next(4) switch
            {
                0 => Instruction.Create(Code.Pushq_imm8, (sbyte)_values.Integer()),
                1 => Instruction.Create(Code.Push_rm64, Absolute(_filler.Target(8))),
                _ => Instruction.Create(Code.Push_r64, ProgramRegisters.Full(_random.Next(_registers.Count))),
            });
        }

        Filler(_random.Next(3));
        if (_random.Next(6) == 0)
        {
            _builder.Emit(Instruction.Create(
                Code.Lea_r64_m, Register.RSP, new MemoryOperand(Register.RSP, _mode.WordBytes * count, 8)));
            return;
        }

        for (int i = 0; i < count; i++)
        {
            _builder.Emit(_random.Next(4) == 0
                ? Instruction.Create(Code.Pop_rm64, Absolute(_filler.Target(8)))
                : Instruction.Create(Code.Pop_r64, ProgramRegisters.Full(_registers.Free(_random))));
        }
    }

    // A table of bytes or words that a byte is looked up in, often across a page.
    private void TableLookup()
    {
        int index = _registers.Free(_random);
        Register low = ProgramRegisters.Low32(index);
        _builder.Emit(_random.Next(4) switch
        {
            0 => Instruction.Create(Code.And_rm32_imm32, low, _random.Next(256)),
            1 => Instruction.Create(Code.Shr_rm32_imm8, low, 24),
            _ => Instruction.Create(
                Code.Movzx_r32_rm8, low, Register.AL + _random.Next(4)), // to BL: exists in all modes
        });
        (int number, ulong value) = _registers.Pointers[_random.Next(_registers.Pointers.Count)];
        ulong page = FirstData + (ulong)(_random.Next(1, 4) * PageBytes);
        ulong table = page - (ulong)_random.Next(TableBytes);
        var entry = new MemoryOperand(
            ProgramRegisters.Full(number), ProgramRegisters.Full(index), 1 << _random.Next(3), (long)(table - value),
            displSize: 4);
        Register data = ProgramRegisters.Low32(_registers.Free(_random));
        _builder.Emit(_random.Next(4) switch
        {
            0 => Instruction.Create(Code.Add_rm32_r32, entry, data),
            1 => Instruction.Create(Code.Mov_rm32_r32, entry, data),
            _ => Instruction.Create(Code.Xor_r32_rm32, data, entry),
        });
    }

    // RBP is a frame pointer for a while.
    private void StackFrame()
    {
        if (!_registers.IsFree(5))
        {
            return;
        }

        int bytes = 16 * _random.Next(1, 8);
        uint reserved = _registers.Reserved;
        if (_random.Next(2) == 0 && (_mode.WordBytes > 2 || !_mode.HasWideStack))
        {
            _builder.Emit(Instruction.Create(Code.Enterq_imm16_imm8, bytes, 0));
        }
        else
        {
            _builder.Emit(Instruction.Create(Code.Push_r64, Register.RBP));
            _builder.Emit(Instruction.Create(Code.Mov_r64_rm64, Register.RBP, Register.RSP));
            _builder.Emit(Instruction.Create(
                Code.Lea_r64_m, Register.RSP, new MemoryOperand(Register.RSP, -bytes, 8)));
        }

        _registers.Reserved |= 1u << 5;
        for (int i = _random.Next(1, 5); i > 0; i--)
        {
            var local = new MemoryOperand(Register.RBP, -8 * _random.Next(1, bytes / 8), 8);
            Register register = ProgramRegisters.Full(_registers.Free(_random));
            _builder.Emit(_random.Next(3) switch
            {
                0 => Instruction.Create(Code.Mov_rm64_r64, local, register),
                1 => Instruction.Create(Code.Add_rm64_r64, local, register),
                _ => Instruction.Create(Code.Mov_r64_rm64, register, local),
            });
            Filler(1);
        }

        _registers.Reserved = reserved;
        _builder.Emit(Instruction.Create(Code.Leaveq));
    }

    private void Strings()
    {
        if (!_registers.IsFree(6) || !_registers.IsFree(7) || !_registers.IsFree(1))
        {
            return;
        }

        bool isBackward = _random.Next(5) == 0;
        _builder.Emit(MoveTo(6, _filler.Target(8)));
        _builder.Emit(MoveTo(7, _filler.Target(8), SegmentRegister.Es));
        _builder.Emit(Instruction.Create(Code.Mov_r32_imm32, Register.ECX, _random.Next(StringBytesMax)));
        if (isBackward)
        {
            _builder.Emit(Instruction.Create(Code.Std));
        }

        var instruction = new Instruction { Code = s_strings[_random.Next(s_strings.Length)] };
        FillStringOperands(ref instruction);
        bool compares = instruction.RflagsModified != 0;
        int repeat = _random.Next(4);
        instruction.HasRepePrefix = repeat > 1 || (repeat == 1 && !compares);
        instruction.HasRepnePrefix = repeat == 1 && compares;
        _builder.Emit(instruction);
        if (isBackward)
        {
            _builder.Emit(Instruction.Create(Code.Cld));
        }
    }

    private static void FillStringOperands(ref Instruction instruction)
    {
        OpCodeInfo info = instruction.Code.ToOpCode();
        for (int i = 0; i < info.OpCount; i++)
        {
            switch (info.GetOpKind(i))
            {
                case OpCodeOperandKind.seg_rSI:
                    instruction.SetOpKind(i, OpKind.MemorySegRSI);
                    break;
                case OpCodeOperandKind.es_rDI:
                    instruction.SetOpKind(i, OpKind.MemoryESRDI);
                    break;
                default:
                    instruction.SetOpKind(i, OpKind.Register);
                    instruction.SetOpRegister(i, info.GetOpKind(i) switch
                    {
                        OpCodeOperandKind.al => Register.AL,
                        OpCodeOperandKind.ax => Register.AX,
                        OpCodeOperandKind.eax => Register.EAX,
                        _ => Register.RAX,
                    });
                    break;
            }
        }
    }

    // By a divisor that is not 0, of a dividend that is small enough, most of the time.
    private void Divide()
    {
        int number = _registers.Free(_random);
        if (number is 0 or 2)
        {
            return;
        }

        bool isWide = _random.Next(2) == 0;
        bool isSigned = _random.Next(2) == 0;
        Code sign = isWide ? Code.Cqo : Code.Cdq;
        _builder.Emit(Instruction.Create(Code.Or_rm32_imm8, ProgramRegisters.Low32(number), 3 + _random.Next(40)));
        _builder.Emit(isSigned
            ? Instruction.Create(sign)
            : Instruction.Create(Code.Xor_r32_rm32, Register.EDX, Register.EDX));
        _builder.Emit((isWide, isSigned) switch
        {
            (true, true) => Instruction.Create(Code.Idiv_rm64, ProgramRegisters.Full(number)),
            (true, false) => Instruction.Create(Code.Div_rm64, ProgramRegisters.Full(number)),
            (false, true) => Instruction.Create(Code.Idiv_rm32, ProgramRegisters.Low32(number)),
            (false, false) => Instruction.Create(Code.Div_rm32, ProgramRegisters.Low32(number)),
        });
    }

    private void SaveFlags()
    {
        _builder.Emit(Instruction.Create(Code.Pushfq));
        switch (_random.Next(3))
        {
            case 0:
                // Other arithmetic flags.
                Instruction flip = Instruction.Create(
                    Code.Xor_rm32_imm32, new MemoryOperand(Register.RSP), _random.Next(0x1000) & 0x8D5);
                _builder.Emit(flip);
                _builder.Emit(Instruction.Create(Code.Popfq));
                break;
            case 1:
                Filler(_random.Next(4));
                _builder.Emit(Instruction.Create(Code.Popfq));
                break;
            default:
                Register register = ProgramRegisters.Full(_registers.Free(_random));
                _builder.Emit(Instruction.Create(Code.Pop_r64, register));
                break;
        }
    }

    private Instruction MoveTo(int number, ulong address, int segment = SegmentRegister.Ds) => Instruction.Create(
        Code.Mov_r32_imm32, ProgramRegisters.Low32(number), (uint)(address - _mode.BaseOf(segment)));

    private unsafe void FillState()
    {
        foreach (ProgramPage page in Pages)
        {
            if (!page.IsExecutable)
            {
                _values.Fill(_program.Image.AsSpan(page.Stored * PageBytes, PageBytes));
            }
        }

        foreach ((ulong address, ProgramLabel label) in _program.Words)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(
                _program.Image.AsSpan(ImageOffset(address)),
                label.Node!.Address - _mode.BaseOf(SegmentRegister.Cs));
        }

        Span<byte> state = _program.State;
        for (int i = 0; i < 16; i++)
        {
            PutRegister(i, _values.Integer());
            _values.Fill(state.Slice(OracleLayout.Extended + 160 + (16 * i), 16));
            _values.Fill(state.Slice(OracleLayout.Extended + 576 + (16 * i), 16));
        }

        foreach ((int number, ulong value) in _registers.Pointers)
        {
            PutRegister(number, value - _mode.BaseOf(SegmentRegister.Ds));
        }

        foreach (int number in _registers.Counters)
        {
            PutRegister(number, (ulong)_random.Next(ProgramRegisters.IndexMax));
        }

        if (_registers.Walker is int walker)
        {
            PutRegister(walker, FirstData + KeptBytes);
        }

        ulong top = StackTop - StackRoom - (ulong)(16 * _random.Next(32));
        PutRegister(4, top - _mode.BaseOf(SegmentRegister.Ss));
        Put(OracleLayout.Flags, ((ulong)_random.Next(0x1000) & 0x8D5) | 2);
        Put(OracleLayout.Rip, _program.Start.Node!.Address - _mode.BaseOf(SegmentRegister.Cs));
        FillUnits(state[OracleLayout.Extended..]);
        fixed (byte* part = state)
        {
            WideRegisters.Fill(part, _values, _random);
            WideRegisters.Join(part);
        }
    }

    private void FillUnits(Span<byte> area)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(area, 0x37F);
        if (_random.Next(3) == 0)
        {
            area[4] = 0xFF;
            for (int i = 0; i < 8; i++)
            {
                _values.FillExtended(area.Slice(32 + (16 * i), 10));
            }
        }

        BinaryPrimitives.WriteUInt32LittleEndian(area[24..], 0x1F80 | ((uint)_random.Next(4) << 13));
        BinaryPrimitives.WriteUInt32LittleEndian(area[28..], 0xFFFF);
        BinaryPrimitives.WriteUInt64LittleEndian(area[512..], 7);
    }

    private void PutRegister(int number, ulong value) => Put(8 * number, value);

    private void Put(int at, ulong value)
        => BinaryPrimitives.WriteUInt64LittleEndian(_program.State.AsSpan(at), value);
}
