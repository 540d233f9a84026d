using System;
using Hypervisor.Cpu.State;
using Iced.Intel;
using static Hypervisor.TestKit.Oracle.Programs.ProgramLayout;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <content>What ends a program in the middle of a block, after many rounds of a loop.</content>
internal sealed partial class ProgramGenerator
{
    // In one round of the innermost loop only.
    private void Fault()
    {
        (int register, int count) = _innermost;
        if (register < 0)
        {
            return;
        }

        var skip = new ProgramLabel();
        _builder.Emit(Instruction.Create(
            Code.Cmp_rm32_imm32, ProgramRegisters.Low32(register), _random.Next(1, count + 1)));
        _builder.EmitBranch(Code.Jne_rel32_64, skip);
        double weight = _builder.Weight;
        _builder.Weight = 0;
        Filler(_random.Next(3));
        if (_random.Next(2) == 0)
        {
            MemoryFault(_registers.Free(_random));
        }
        else
        {
            OtherFault(_registers.Free(_random));
        }

        Filler(_random.Next(3));
        _builder.Weight = weight;
        _builder.DefineFlags();
        _builder.Place(skip);
    }

    private void MemoryFault(int number)
    {
        Register full = ProgramRegisters.Full(number);
        MemoryOperand readOnly = Absolute(ReadOnlyData + (ulong)_random.Next(PageBytes - 32));
        MemoryOperand absent = Absolute(AbsentData + (ulong)_random.Next(PageBytes - 32));
        MemoryOperand edge = Absolute(AbsentData - (ulong)_random.Next(1, 8));
        switch (_random.Next(13))
        {
            case 0:
                _builder.Emit(Instruction.Create(Code.Mov_rm64_r64, readOnly, full));
                break;
            case 1:
                Instruction add = Instruction.Create(Code.Add_rm64_r64, readOnly, full);
                add.HasLockPrefix = _random.Next(2) == 0;
                _builder.Emit(add);
                break;
            case 2:
                _builder.Emit(Instruction.Create(Code.Xadd_rm64_r64, readOnly, full));
                break;
            case 3:
                _builder.Emit(Instruction.Create(Code.Cmpxchg_rm64_r64, readOnly, full));
                break;
            case 4:
                _builder.Emit(Instruction.Create(Code.Mov_r64_rm64, full, absent));
                break;
            case 5:
                _builder.Emit(Instruction.Create(Code.Mov_rm64_r64, edge, full));
                break;
            case 6:
                _builder.Emit(Instruction.Create(Code.Adc_rm64_r64, edge, full));
                break;
            case 7:
                _builder.Emit(Instruction.Create(Code.VEX_Vmovdqu_ymm_ymmm256, Register.YMM1, edge));
                break;
            case 8:
                _builder.Emit(Instruction.Create(Code.Push_r64, full));
                _builder.Emit(Instruction.Create(Code.Pop_rm64, readOnly));
                break;
            case 9:
                _builder.Emit(Instruction.Create(Code.Mov_r64_imm64, full, 0x8000_0000_0000_0000));
                _builder.Emit(Instruction.Create(
                    Code.Mov_r32_rm32, Register.EAX, new MemoryOperand(full, 8, 1)));
                break;
            case 10:
                _builder.Emit(Instruction.Create(
                    Code.Mov_r32_imm32,
                    Register.ESP,
                    (uint)(StackAddress + PageBytes + 8 - _mode.BaseOf(SegmentRegister.Ss))));
                _builder.Emit(Instruction.Create(Code.Push_r64, full));
                _builder.Emit(Instruction.Create(Code.Push_r64, full));
                break;
            case 11:
                _builder.Emit(Instruction.Create(
                    Code.Movaps_xmm_xmmm128, Register.XMM2, Absolute(FirstData + KeptBytes + 8)));
                break;
            default:
                RunIntoAbsentPage();
                break;
        }
    }

    private void RunIntoAbsentPage()
    {
        _builder.Emit(MoveTo(7, AbsentData - (ulong)_random.Next(64), SegmentRegister.Es));
        _builder.Emit(MoveTo(6, FirstData + KeptBytes));
        _builder.Emit(Instruction.Create(Code.Mov_r32_imm32, Register.ECX, 100));
        var move = new Instruction { Code = _random.Next(2) == 0 ? Code.Movsb_m8_m8 : Code.Stosd_m32_EAX };
        FillStringOperands(ref move);
        move.HasRepPrefix = true;
        _builder.Emit(move);
    }

    private void OtherFault(int number)
    {
        Register full = ProgramRegisters.Full(number);
        Register low = ProgramRegisters.Low32(number);
        switch (_random.Next(14))
        {
            case 0:
                _builder.Emit(Instruction.Create(Code.Ud2));
                break;
            case 1:
                _builder.Emit(Instruction.Create(Code.Hlt));
                break;
            case 2:
                _builder.Emit(Instruction.Create(Code.Int3));
                break;
            case 3:
                _builder.Emit(Instruction.Create(Code.Int_imm8, 0x21));
                break;
            case 4:
                _builder.DefineFlags(); // at the fault, RIP is no place that is known here
                _builder.Emit(MoveTo(number, FirstData + KeptBytes)); // not executable
                _builder.Emit(Instruction.Create(Code.Jmp_rm64, full));
                break;
            case 5:
                _builder.DefineFlags(); // at the fault, RIP is no place that is known here
                _builder.Emit(MoveTo(number, CodeAddress + (CodePages * PageBytes) + 4)); // absent
                _builder.Emit(Instruction.Create(Code.Call_rm64, full));
                break;
            case 6 when _mode.IsLong:
                _builder.Emit(Instruction.Create(Code.Mov_r64_imm64, full, 0x0000_8000_0000_0000));
                _builder.Emit(Instruction.Create(Code.Push_r64, full));
                _builder.Emit(Instruction.Create(Code.Retnq));
                break;
            case 7:
                _builder.Emit(Instruction.Create(Code.Xor_rm32_r32, low, low));
                _builder.Emit(Instruction.Create(Code.Div_rm32, low));
                break;
            case 8:
                _builder.Emit(Instruction.Create(Code.Cli));
                break;
            case 9:
                StepTrap();
                break;
            case 10:
                UnmaskedVector();
                break;
            case 11:
                UnmaskedX87();
                break;
            case 12:
                _builder.Emit(Instruction.Create(Code.In_AL_DX, Register.AL, Register.DX));
                break;
            default:
                _builder.EmitBytes([0xF0, 0x90]); // LOCK before what cannot have it
                break;
        }
    }

    // POPF sets TF: #DB after the next instruction.
    private void StepTrap()
    {
        _builder.Emit(Instruction.Create(Code.Pushfq));
        _builder.Emit(Instruction.Create(Code.Or_rm32_imm32, new MemoryOperand(Register.RSP), 0x100));
        _builder.Emit(Instruction.Create(Code.Popfq));
        Filler(1);
    }

    private void UnmaskedVector()
    {
        MemoryOperand place = Absolute(FirstData + KeptBytes);
        _builder.Emit(Instruction.Create(Code.Mov_rm32_imm32, place, 0x1D80)); // ZE is not masked
        _builder.Emit(Instruction.Create(Code.Ldmxcsr_m32, place));
        _builder.Emit(Instruction.Create(Code.Xorps_xmm_xmmm128, Register.XMM3, Register.XMM3));
        _builder.Emit(Instruction.Create(Code.Mov_r32_imm32, Register.EAX, 1));
        _builder.Emit(Instruction.Create(Code.Cvtsi2ss_xmm_rm32, Register.XMM4, Register.EAX));
        _builder.Emit(Instruction.Create(Code.Divss_xmm_xmmm32, Register.XMM4, Register.XMM3));
    }

    private void UnmaskedX87()
    {
        MemoryOperand place = Absolute(FirstData + KeptBytes);
        _builder.Emit(Instruction.Create(Code.Fninit));
        _builder.Emit(Instruction.Create(Code.Mov_rm16_imm16, place, 0x37B)); // ZM is clear
        _builder.Emit(Instruction.Create(Code.Fldcw_m2byte, place));
        _builder.Emit(Instruction.Create(Code.Fld1));
        _builder.Emit(Instruction.Create(Code.Fldz));
        _builder.Emit(Instruction.Create(Code.Fdivp_sti_st0, Register.ST1, Register.ST0));
        Filler(1);
        _builder.Emit(Instruction.Create(Code.Wait));
    }

    // Before a loop: the walker will leave the data in about one run of the loop.
    private int StartWalk(int count)
    {
        int stride = _random.Next(1, 40);
        int distance = Math.Min(stride * count * _random.Next(50, 130) / 100, DataBytes - KeptBytes - 64);
        _builder.Emit(MoveTo(_registers.Walker!.Value, AbsentData - (ulong)distance));
        return stride;
    }

    private void Walk(int stride)
    {
        Register walker = ProgramRegisters.Full(_registers.Walker!.Value);
        Instruction access;
        do
        {
            access = _picker.Pick(_groups.Integer, _builder.Undefined);
        }
        while (access.Op0Kind != OpKind.Memory && access.Op1Kind != OpKind.Memory);

        access.MemoryBase = walker;
        access.MemoryIndex = Register.None;
        access.MemoryIndexScale = 1;
        access.SegmentPrefix = Register.None;
        access.MemoryDisplSize = 1;
        access.MemoryDisplacement64 = (ulong)_random.Next(-8, 8);
        _builder.Emit(access);
        Filler(_random.Next(3));
        _builder.Emit(Instruction.Create(Code.Lea_r64_m, walker, new MemoryOperand(walker, stride, 1)));
    }
}
