using System;
using System.Collections.Generic;
using Hypervisor.Cpu.State;
using Iced.Intel;
using static Hypervisor.TestKit.Oracle.Programs.ProgramLayout;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>Makes of an instruction of a 64-bit program the like of it in another mode.</summary>
internal sealed class ProgramConverter(ProgramMode mode, Random random)
{
    // What has a form for each operand size, by the bytes of a word.
    private static readonly Dictionary<Code, (Code Two, Code Four)> s_words = new()
    {
        [Code.Push_r64] = (Code.Push_r16, Code.Push_r32),
        [Code.Push_rm64] = (Code.Push_rm16, Code.Push_rm32),
        [Code.Pushq_imm8] = (Code.Pushw_imm8, Code.Pushd_imm8),
        [Code.Pushq_imm32] = (Code.Push_imm16, Code.Pushd_imm32),
        [Code.Pop_r64] = (Code.Pop_r16, Code.Pop_r32),
        [Code.Pop_rm64] = (Code.Pop_rm16, Code.Pop_rm32),
        [Code.Pushfq] = (Code.Pushfw, Code.Pushfd),
        [Code.Popfq] = (Code.Popfw, Code.Popfd),
        [Code.Retnq] = (Code.Retnw, Code.Retnd),
        [Code.Call_rm64] = (Code.Call_rm16, Code.Call_rm32),
        [Code.Jmp_rm64] = (Code.Jmp_rm16, Code.Jmp_rm32),
        [Code.Call_rel32_64] = (Code.Call_rel16, Code.Call_rel32_32),
        [Code.Jmp_rel32_64] = (Code.Jmp_rel16, Code.Jmp_rel32_32),
        [Code.Enterq_imm16_imm8] = (Code.Enterw_imm16_imm8, Code.Enterd_imm16_imm8),
        [Code.Leaveq] = (Code.Leavew, Code.Leaved),
        [Code.Loop_rel8_64_RCX] = (Code.Loop_rel8_16_CX, Code.Loop_rel8_32_ECX),
        [Code.Cqo] = (Code.Cdq, Code.Cdq),
        [Code.Cdqe] = (Code.Cwde, Code.Cwde),
        [Code.Movsq_m64_m64] = (Code.Movsd_m32_m32, Code.Movsd_m32_m32),
        [Code.Stosq_m64_RAX] = (Code.Stosd_m32_EAX, Code.Stosd_m32_EAX),
        [Code.Lodsq_RAX_m64] = (Code.Lodsd_EAX_m32, Code.Lodsd_EAX_m32),
    };

    internal Instruction Convert(Instruction instruction)
    {
        if (mode.IsLong)
        {
            return instruction;
        }

        ConvertCode(ref instruction);
        for (int i = 0; i < instruction.OpCount; i++)
        {
            switch (instruction.GetOpKind(i))
            {
                case OpKind.Register when instruction.GetOpRegister(i).IsGPR64():
                    bool isShort = mode.WordBytes == 2 && IsWordOperand(instruction.Code);
                    Register first = isShort ? Register.AX : Register.EAX;
                    instruction.SetOpRegister(i, first + (instruction.GetOpRegister(i) - Register.RAX));
                    break;
                case OpKind.Immediate8to64:
                    ulong value = instruction.GetImmediate(i);
                    bool isNarrow = instruction.Code == Code.Pushw_imm8;
                    instruction.SetOpKind(i, isNarrow ? OpKind.Immediate8to16 : OpKind.Immediate8to32);
                    instruction.SetImmediate(i, value);
                    break;
                case OpKind.Immediate64 or OpKind.Immediate32to64:
                    value = instruction.GetImmediate(i);
                    isNarrow = instruction.Code == Code.Push_imm16;
                    instruction.SetOpKind(i, isNarrow ? OpKind.Immediate16 : OpKind.Immediate32);
                    instruction.SetImmediate(i, isNarrow ? (ushort)value : (uint)value);
                    break;
                case OpKind.NearBranch64:
                    bool isFar = mode.WordBytes == 4 || mode.Bits == 32;
                    instruction.SetOpKind(i, isFar ? OpKind.NearBranch32 : OpKind.NearBranch16);
                    break;
                case OpKind.MemorySegRSI:
                    instruction.SetOpKind(i, OpKind.MemorySegESI);
                    break;
                case OpKind.MemoryESRDI:
                    instruction.SetOpKind(i, OpKind.MemoryESEDI);
                    break;
                case OpKind.Memory:
                    ConvertMemory(ref instruction);
                    break;
            }
        }

        return instruction;
    }

    /// <summary>Names a linear address in the data, from a segment that reaches it.</summary>
    internal void SetAbsolute(ref Instruction instruction, ulong linear)
    {
        int segment = linear - StackAddress < 8 * PageBytes ? SegmentRegister.Ss
            : linear - CodeAddress < CodePages * PageBytes ? SegmentRegister.Fs
            : AnyData();
        SetSegment(ref instruction, segment, SegmentRegister.Ds);
        instruction.MemoryBase = Register.None;
        instruction.MemoryIndex = Register.None;
        instruction.MemoryDisplacement64 = (uint)(linear - mode.BaseOf(segment));
        instruction.MemoryDisplSize = mode.Bits == 16 && random.Next(3) != 0 ? 2 : 4;
    }

    /// <summary>Names a linear address by a register that holds a known one, as an offset in DS.</summary>
    internal void SetRelative(ref Instruction instruction, int number, ulong value, ulong linear, int index, int scale)
    {
        bool isShort = mode.Bits == 16 && index < 0 && number is 3 or 5 or 6 or 7 && mode.Bits == 16
            && random.Next(3) != 0;
        int normal = number is 5 ? SegmentRegister.Ss : SegmentRegister.Ds;
        int segment = AnyData();
        SetSegment(ref instruction, segment, normal);
        instruction.MemoryBase = (isShort ? Register.AX : Register.EAX) + number;
        instruction.MemoryIndex = index < 0 ? Register.None : Register.EAX + index;
        instruction.MemoryIndexScale = scale;
        ulong distance = linear - value + mode.BaseOf(SegmentRegister.Ds) - mode.BaseOf(segment);
        SetDisplacement(ref instruction, distance, isShort);
    }

    // One of those that reach the data.
    private int AnyData() => random.Next(6) switch
    {
        0 => SegmentRegister.Es,
        1 => SegmentRegister.Gs,
        _ => SegmentRegister.Ds,
    };

    private static void SetSegment(ref Instruction instruction, int segment, int normal)
        => instruction.SegmentPrefix = segment == normal ? Register.None : segment switch
        {
            SegmentRegister.Es => Register.ES,
            SegmentRegister.Ss => Register.SS,
            SegmentRegister.Fs => Register.FS,
            SegmentRegister.Gs => Register.GS,
            _ => Register.DS,
        };

    private static void SetDisplacement(ref Instruction instruction, ulong displacement, bool isShort)
    {
        bool isByte = (int)displacement is >= sbyte.MinValue and <= sbyte.MaxValue;
        instruction.MemoryDisplacement64 = isShort ? (ushort)displacement : (uint)displacement;
        instruction.MemoryDisplSize = isByte ? 1 : isShort ? 2 : 4;
        if (isByte)
        {
            instruction.MemoryDisplacement64 = (ulong)(int)displacement;
        }
    }

    // Bases of 64 bits, RIP and absolute addresses are what the generator writes.
    private void ConvertMemory(ref Instruction instruction)
    {
        Register start = instruction.MemoryBase;
        ulong displacement = instruction.MemoryDisplacement64;
        if (start == Register.RIP)
        {
            instruction.SegmentPrefix = mode.Kind == ProgramKind.Flat32 ? Register.None : Register.FS;
            instruction.MemoryBase = Register.None;
            instruction.MemoryDisplSize = mode.Bits == 16 ? 2 : 4;
        }
        else if (start == Register.None && instruction.MemoryIndex.IsGPR64())
        {
            instruction.MemoryIndex = Register.EAX + (instruction.MemoryIndex - Register.RAX);
            instruction.MemoryDisplacement64 = (uint)(displacement - mode.BaseOf(SegmentRegister.Ds));
            instruction.MemoryDisplSize = 4;
        }
        else if (start == Register.None && instruction.MemoryDisplSize == 8)
        {
            SetAbsolute(ref instruction, displacement);
        }
        else if (start.IsGPR64())
        {
            // Only BP can be a frame pointer of 16 bits.
            bool isShort = mode.Bits == 16 && start == Register.RBP;
            instruction.MemoryBase = isShort ? Register.BP : Register.EAX + (start - Register.RAX);
            SetDisplacement(ref instruction, displacement, isShort);
        }
    }

    private void ConvertCode(ref Instruction instruction)
    {
        Code code = instruction.Code;
        if (s_words.TryGetValue(code, out (Code Two, Code Four) words))
        {
            instruction.Code = mode.WordBytes == 2 ? words.Two : words.Four;
        }
        else if (code is >= Code.Jo_rel32_64 and <= Code.Jg_rel32_64 && (code - Code.Jo_rel32_64) % 3 == 0)
        {
            instruction.Code = code - (mode.WordBytes == 2 ? 2 : 1);
        }
        else if (code is >= Code.Jo_rel8_64 and <= Code.Jg_rel8_64 && (code - Code.Jo_rel8_64) % 3 == 0)
        {
            instruction.Code = code - (mode.WordBytes == 2 ? 2 : 1);
        }
        else if (!code.ToOpCode().Mode32 || code.ToString().Contains("64", StringComparison.Ordinal))
        {
            string name = code.ToString().Replace("64", "32", StringComparison.Ordinal);
            instruction.Code = Enum.TryParse(name, out Code converted) ? converted : code;
        }

        if (mode.IsReal && instruction.Code is Code.Hlt)
        {
            instruction.Code = Code.Ud2; // it would halt
        }
    }

    private static bool IsWordOperand(Code code) => code is Code.Push_r16 or Code.Pop_r16 or Code.Call_rm16
        or Code.Jmp_rm16 or Code.Push_rm16 or Code.Pop_rm16;
}
