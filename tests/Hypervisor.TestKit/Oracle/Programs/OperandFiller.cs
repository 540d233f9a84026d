using System;
using Iced.Intel;
using static Hypervisor.TestKit.Oracle.Programs.ProgramLayout;

namespace Hypervisor.TestKit.Oracle.Programs;

/// <summary>Gives an instruction random operands that are valid in the program.</summary>
internal sealed class OperandFiller(
    ProgramMode mode, ProgramConverter converter, ProgramRegisters registers, Random random)
{
    private const int HotBytes = 0x180;
    private const int RedZoneBytes = 256;

    private static readonly Register[] s_low8 =
    [
        Register.AL, Register.CL, Register.DL, Register.BL, Register.SPL, Register.BPL, Register.SIL, Register.DIL,
        Register.R8L, Register.R9L, Register.R10L, Register.R11L, Register.R12L, Register.R13L, Register.R14L,
        Register.R15L,
    ];

    private readonly InterestingValues _values = new(random);

    /// <summary>Whether operands of this kind are known here.</summary>
    internal static bool CanFill(OpCodeOperandKind kind) => RegisterOf(kind, out _) != Register.None
        || IsMemory(kind) || IsImmediate(kind, out _) || FixedRegister(kind) != Register.None;

    /// <summary>Fills operand <paramref name="index"/>.</summary>
    internal void Fill(ref Instruction instruction, OpCodeOperandKind kind, int index)
    {
        Register register = FixedRegister(kind);
        if (register != Register.None)
        {
            instruction.SetOpKind(index, OpKind.Register);
            instruction.SetOpRegister(index, register);
        }
        else if (IsImmediate(kind, out OpKind immediate))
        {
            instruction.SetOpKind(index, immediate);
            instruction.SetImmediate(index, Immediate(kind));
        }
        else if (IsMemory(kind) && (RegisterOf(kind, out _) == Register.None || random.Next(2) == 0))
        {
            instruction.SetOpKind(index, OpKind.Memory);
            int size = Math.Max(1, instruction.MemorySize.GetSize());

            // On an AMD host VCVTPS2PH faults before it sets MXCSR's flags: seed 3004578.
            bool isAtEdge = instruction.HasOpMask && random.Next(6) == 0
                && instruction.Mnemonic != Mnemonic.Vcvtps2ph;
            ulong target = isAtEdge ? MaskedTarget(size) : Target(size);
            if (mode.IsLong)
            {
                SetMemory(ref instruction, target);
            }
            else
            {
                SetLegacyMemory(ref instruction, target);
            }
        }
        else
        {
            instruction.SetOpKind(index, OpKind.Register);
            Register first = RegisterOf(kind, out int count);
            bool hasMore = mode.IsLong && instruction.Code.Encoding() == EncodingKind.EVEX && first.IsVectorRegister();
            instruction.SetOpRegister(index, Pick(first, hasMore ? 32 : count));
        }
    }

    /// <summary>EVEX: mask, zeroing, broadcast or rounding at random. Before the operands.</summary>
    internal void FillEvex(ref Instruction instruction, OpCodeInfo info)
    {
        if (info.CanUseOpMaskRegister && random.Next(3) != 0)
        {
            instruction.OpMask = Register.K1 + random.Next(7);
            instruction.ZeroingMasking = info.CanUseZeroingMasking && random.Next(2) == 0;
        }

        instruction.IsBroadcast = info.CanBroadcast && random.Next(3) == 0;
        if (info.CanUseRoundingControl && random.Next(3) == 0)
        {
            instruction.RoundingControl = RoundingControl.RoundToNearest + random.Next(4);
        }

        instruction.SuppressAllExceptions = info.CanSuppressAllExceptions && random.Next(3) == 0;
    }

    /// <summary>An address in the data for an access of <paramref name="size"/> bytes.</summary>
    internal ulong Target(int size)
    {
        if (size >= 16)
        {
            ulong place = FirstData + KeptBytes + (ulong)random.Next(DataBytes - KeptBytes - 640);
            ulong hot = FirstData + KeptBytes + (ulong)(random.Next(4) * 64);
            return ((random.Next(2) == 0 ? hot : place) & ~63ul) + (random.Next(40) == 0 ? 61ul : 0);
        }

        ulong boundary = FirstData + (ulong)(random.Next(1, 4) * PageBytes);
        return random.Next(8) switch
        {
            0 => boundary - (ulong)random.Next(size + 1),
            1 => FirstData + KeptBytes + (ulong)random.Next(DataBytes - KeptBytes - size),
            _ => FirstData + KeptBytes + (ulong)random.Next(HotBytes),
        };
    }

    // Across pages, of which the last may be absent: what the mask selects decides.
    private ulong MaskedTarget(int size)
    {
        int page = random.Next(4) == 0 ? 4 : random.Next(1, 4);
        return FirstData + (ulong)((page * PageBytes) - random.Next(1, size + 1));
    }

    /// <summary>Makes the memory operand name <paramref name="target"/>, in one of many ways.</summary>
    internal void SetMemory(ref Instruction instruction, ulong target)
    {
        (int number, ulong value) = registers.Pointers[random.Next(registers.Pointers.Count)];
        Register pointer = ProgramRegisters.Full(number);
        int size = instruction.MemorySize.GetSize(); // what is longer than 8 bytes wants to be aligned
        instruction.MemoryIndex = Register.None;
        instruction.MemoryIndexScale = 1;
        instruction.SegmentPrefix = Register.None;
        switch (random.Next(24))
        {
            case 0 or 1 or 2:
                Set(ref instruction, Register.RIP, target);
                break;
            case 3 or 4:
                Set(ref instruction, Register.None, target);
                break;
            case 5 or 6 or 7 when size < 16:
                int distance = random.Next(16, RedZoneBytes) & ~15;
                Set(ref instruction, Register.RSP, (ulong)-distance);
                break;
            case 8:
                instruction.SegmentPrefix = Register.FS;
                Set(ref instruction, Register.None, target - OracleLayout.FsBase);
                break;
            case 9:
                instruction.SegmentPrefix = Register.GS;
                Set(ref instruction, pointer, target - value - OracleLayout.GsBase);
                break;
            case 10:
                Set(ref instruction, ProgramRegisters.Low32(number), target - value);
                break;
            case 11 or 12 or 13 or 14 when size < 16
                && target < FirstData + DataBytes - (8 * ProgramRegisters.IndexMax):
                instruction.MemoryIndex = ProgramRegisters.Full(AnyCounter());
                instruction.MemoryIndexScale = 1 << random.Next(4);
                Set(ref instruction, pointer, target - value);
                break;
            default:
                Set(ref instruction, pointer, target - value);
                break;
        }
    }

    private int AnyCounter() => registers.Counters[random.Next(registers.Counters.Count)];

    private void SetLegacyMemory(ref Instruction instruction, ulong target)
    {
        (int number, ulong value) = registers.Pointers[random.Next(registers.Pointers.Count)];
        int size = instruction.MemorySize.GetSize();
        instruction.MemoryIndex = Register.None;
        instruction.MemoryIndexScale = 1;
        instruction.SegmentPrefix = Register.None;
        switch (random.Next(12))
        {
            case 0 or 1 or 2:
                converter.SetAbsolute(ref instruction, target);
                break;
            case 3 or 4 when size < 16:
                int distance = random.Next(16, RedZoneBytes) & ~15;
                Set(ref instruction, Register.ESP, (uint)-distance);
                break;
            case 5 or 6 when size < 16 && target < FirstData + DataBytes - (8 * ProgramRegisters.IndexMax):
                converter.SetRelative(ref instruction, number, value, target, AnyCounter(), 1 << random.Next(4));
                break;
            default:
                converter.SetRelative(ref instruction, number, value, target, -1, 1);
                break;
        }
    }

    private static void Set(ref Instruction instruction, Register baseRegister, ulong displacement)
    {
        bool isShort = baseRegister is not (Register.None or Register.RIP)
            && (long)displacement is >= sbyte.MinValue and <= sbyte.MaxValue;
        instruction.MemoryBase = baseRegister;
        instruction.MemoryDisplacement64 = displacement;
        instruction.MemoryDisplSize = isShort ? 1 : baseRegister.IsGPR32() ? 4 : 8;
    }

    private Register Pick(Register first, int count)
    {
        if (first == Register.AL && !mode.IsLong)
        {
            return Register.AL + random.Next(8);
        }

        if (first == Register.AL)
        {
            int low = random.Next(4) != 0 ? registers.Free(random) : random.Next(16);
            return random.Next(5) == 0 ? Register.AH + random.Next(4) : s_low8[low];
        }

        bool isGeneral = first is Register.AX or Register.EAX or Register.RAX;
        count = Math.Min(count, registers.Count);
        return first + (isGeneral && random.Next(4) != 0 ? registers.Free(random) : random.Next(count));
    }

    private ulong Immediate(OpCodeOperandKind kind) => kind switch
    {
        OpCodeOperandKind.imm8_const_1 => 1,
        OpCodeOperandKind.imm8 => (byte)_values.Integer(),
        OpCodeOperandKind.imm8sex16 or OpCodeOperandKind.imm8sex32 or OpCodeOperandKind.imm8sex64
            => (ulong)(sbyte)_values.Integer(),
        OpCodeOperandKind.imm16 => (ushort)_values.Integer(),
        OpCodeOperandKind.imm32 => (uint)_values.Integer(),
        OpCodeOperandKind.imm32sex64 => (ulong)(int)_values.Integer(),
        _ => _values.Integer(),
    };

    private static bool IsImmediate(OpCodeOperandKind kind, out OpKind immediate)
    {
        immediate = kind switch
        {
            OpCodeOperandKind.imm8 or OpCodeOperandKind.imm8_const_1 => OpKind.Immediate8,
            OpCodeOperandKind.imm8sex16 => OpKind.Immediate8to16,
            OpCodeOperandKind.imm8sex32 => OpKind.Immediate8to32,
            OpCodeOperandKind.imm8sex64 => OpKind.Immediate8to64,
            OpCodeOperandKind.imm16 => OpKind.Immediate16,
            OpCodeOperandKind.imm32 => OpKind.Immediate32,
            OpCodeOperandKind.imm32sex64 => OpKind.Immediate32to64,
            OpCodeOperandKind.imm64 => OpKind.Immediate64,
            _ => OpKind.Register,
        };
        return immediate != OpKind.Register;
    }

    private static Register FixedRegister(OpCodeOperandKind kind) => kind switch
    {
        OpCodeOperandKind.al => Register.AL,
        OpCodeOperandKind.cl => Register.CL,
        OpCodeOperandKind.ax => Register.AX,
        OpCodeOperandKind.eax => Register.EAX,
        OpCodeOperandKind.rax => Register.RAX,
        OpCodeOperandKind.st0 => Register.ST0,
        _ => Register.None,
    };

    private static bool IsMemory(OpCodeOperandKind kind) => kind is OpCodeOperandKind.mem
        or OpCodeOperandKind.r8_or_mem or OpCodeOperandKind.r16_or_mem or OpCodeOperandKind.r32_or_mem
        or OpCodeOperandKind.r64_or_mem or OpCodeOperandKind.mm_or_mem or OpCodeOperandKind.xmm_or_mem
        or OpCodeOperandKind.ymm_or_mem or OpCodeOperandKind.zmm_or_mem or OpCodeOperandKind.k_or_mem;

    // The first register of the file and how many there are; None: only memory, or not known.
    private static Register RegisterOf(OpCodeOperandKind kind, out int count)
    {
        count = kind is OpCodeOperandKind.mm_or_mem or OpCodeOperandKind.mm_reg or OpCodeOperandKind.mm_rm
            or OpCodeOperandKind.sti_opcode or OpCodeOperandKind.k_reg or OpCodeOperandKind.k_rm
            or OpCodeOperandKind.k_vvvv or OpCodeOperandKind.k_or_mem ? 8 : 16;
        return kind switch
        {
            OpCodeOperandKind.r8_reg or OpCodeOperandKind.r8_opcode or OpCodeOperandKind.r8_or_mem => Register.AL,
            OpCodeOperandKind.r16_reg or OpCodeOperandKind.r16_rm or OpCodeOperandKind.r16_opcode
                or OpCodeOperandKind.r16_or_mem => Register.AX,
            OpCodeOperandKind.r32_reg or OpCodeOperandKind.r32_rm or OpCodeOperandKind.r32_opcode
                or OpCodeOperandKind.r32_vvvv or OpCodeOperandKind.r32_or_mem => Register.EAX,
            OpCodeOperandKind.r64_reg or OpCodeOperandKind.r64_rm or OpCodeOperandKind.r64_opcode
                or OpCodeOperandKind.r64_vvvv or OpCodeOperandKind.r64_or_mem => Register.RAX,
            OpCodeOperandKind.mm_reg or OpCodeOperandKind.mm_rm or OpCodeOperandKind.mm_or_mem => Register.MM0,
            OpCodeOperandKind.xmm_reg or OpCodeOperandKind.xmm_rm or OpCodeOperandKind.xmm_vvvv
                or OpCodeOperandKind.xmm_is4 or OpCodeOperandKind.xmm_or_mem => Register.XMM0,
            OpCodeOperandKind.ymm_reg or OpCodeOperandKind.ymm_rm or OpCodeOperandKind.ymm_vvvv
                or OpCodeOperandKind.ymm_is4 or OpCodeOperandKind.ymm_or_mem => Register.YMM0,
            OpCodeOperandKind.zmm_reg or OpCodeOperandKind.zmm_rm or OpCodeOperandKind.zmm_vvvv
                or OpCodeOperandKind.zmm_or_mem => Register.ZMM0,
            OpCodeOperandKind.k_reg or OpCodeOperandKind.k_rm or OpCodeOperandKind.k_vvvv
                or OpCodeOperandKind.k_or_mem => Register.K0,
            OpCodeOperandKind.sti_opcode => Register.ST0,
            _ => Register.None,
        };
    }
}
