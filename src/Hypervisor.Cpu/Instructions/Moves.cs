using System.Buffers.Binary;
using System.Numerics;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>
/// MOV between general registers, memory and immediates, MOVZX, MOVSX, LEA, BSWAP, CMOVcc, SETcc, XLAT.
/// </summary>
internal static unsafe class Moves
{
    internal static void Define(TableBuilder table)
    {
        table.Define(Mnemonic.Mov, InstructionTraits.CopyToHost, &LowerMove);
        table.Define(Mnemonic.Movzx, InstructionTraits.CopyToHost, &LowerZeroExtend);
        table.Define(Mnemonic.Movsx, InstructionTraits.CopyToHost, &LowerSignExtend);
        table.Define(Mnemonic.Movsxd, InstructionTraits.CopyToHost, &LowerSignExtend);
        table.Define(Mnemonic.Lea, InstructionTraits.CopyToHost, &LowerAddress);
        table.Define(Mnemonic.Bswap, InstructionTraits.CopyToHost, &LowerSwap);
        table.Define(Mnemonic.Xlatb, InstructionTraits.None, &LowerTranslate);
        for (int condition = 0; condition < 16; condition++)
        {
            table.Define(s_conditionalMoves[condition], InstructionTraits.CopyToHost, &LowerConditionalMove);
            table.Define(s_conditionalSets[condition], InstructionTraits.CopyToHost, &LowerConditionalSet);
        }
    }

    private static readonly Mnemonic[] s_conditionalMoves =
    [
        Mnemonic.Cmovo, Mnemonic.Cmovno, Mnemonic.Cmovb, Mnemonic.Cmovae, Mnemonic.Cmove, Mnemonic.Cmovne,
        Mnemonic.Cmovbe, Mnemonic.Cmova, Mnemonic.Cmovs, Mnemonic.Cmovns, Mnemonic.Cmovp, Mnemonic.Cmovnp,
        Mnemonic.Cmovl, Mnemonic.Cmovge, Mnemonic.Cmovle, Mnemonic.Cmovg,
    ];

    private static readonly Mnemonic[] s_conditionalSets =
    [
        Mnemonic.Seto, Mnemonic.Setno, Mnemonic.Setb, Mnemonic.Setae, Mnemonic.Sete, Mnemonic.Setne,
        Mnemonic.Setbe, Mnemonic.Seta, Mnemonic.Sets, Mnemonic.Setns, Mnemonic.Setp, Mnemonic.Setnp,
        Mnemonic.Setl, Mnemonic.Setge, Mnemonic.Setle, Mnemonic.Setg,
    ];

    private static void LowerMove(LoweringContext context, in Instruction instruction, Operation* op)
    {
        if ((instruction.Op0Kind == OpKind.Register && !instruction.Op0Register.IsGPR())
            || (instruction.Op1Kind == OpKind.Register && !instruction.Op1Register.IsGPR()))
        {
            SystemMoves.Lower(context, instruction, op);
            return;
        }

        op->Execute = Operands.SizeOf(instruction, 0) switch
        {
            1 => SelectMove<byte>(instruction, op),
            2 => SelectMove<ushort>(instruction, op),
            4 => SelectMove<uint>(instruction, op),
            _ => SelectMove<ulong>(instruction, op),
        };
    }

    private static delegate*<Vcpu, Operation*, Outcome> SelectMove<T>(in Instruction instruction, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        bool immediate = instruction.Op1Kind is not OpKind.Register and not OpKind.Memory;
        if (instruction.Op0Kind == OpKind.Memory)
        {
            return immediate ? &StoreImmediate<T> : &Store<T>;
        }

        return op->HasMemory ? &Load<T> : immediate ? &SetImmediate<T> : &Copy<T>;
    }

    private static Outcome Copy<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        Operands.Set(vcpu.State, op->Destination, Operands.Get<T>(vcpu.State, op->Source));
        return Outcome.Next;
    }

    private static Outcome SetImmediate<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        Operands.Set(vcpu.State, op->Destination, T.CreateTruncating(op->Immediate));
        return Outcome.Next;
    }

    private static Outcome Load<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        if (!vcpu.Mmu.TryRead(op, out T value))
        {
            return Outcome.Fault;
        }

        Operands.Set(vcpu.State, op->Destination, value);
        return Outcome.Next;
    }

    private static Outcome Store<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        => vcpu.Mmu.TryWrite(op, Operands.Get<T>(vcpu.State, op->Destination)) ? Outcome.Next : Outcome.Fault;

    private static Outcome StoreImmediate<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        => vcpu.Mmu.TryWrite(op, T.CreateTruncating(op->Immediate)) ? Outcome.Next : Outcome.Fault;

    private static void LowerZeroExtend(LoweringContext context, in Instruction instruction, Operation* op)
    {
        // The destination is at least 16 bits wide; a 64-bit one is reached by zero-extension anyway.
        bool narrow = instruction.Op0Register.GetSize() == 2;
        op->Execute = (Operands.SizeOf(instruction, 1), narrow) switch
        {
            (1, true) => op->HasMemory ? &LoadExtended<byte, ushort> : &CopyExtended<byte, ushort>,
            (1, false) => op->HasMemory ? &LoadExtended<byte, uint> : &CopyExtended<byte, uint>,
            (_, true) => op->HasMemory ? &LoadExtended<ushort, ushort> : &CopyExtended<ushort, ushort>,
            (_, false) => op->HasMemory ? &LoadExtended<ushort, uint> : &CopyExtended<ushort, uint>,
        };
    }

    private static void LowerSignExtend(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->Execute = (Operands.SizeOf(instruction, 1), instruction.Op0Register.GetSize()) switch
        {
            (1, 2) => SelectExtended<sbyte, ushort>(op),
            (1, 4) => SelectExtended<sbyte, uint>(op),
            (1, 8) => SelectExtended<sbyte, ulong>(op),
            (2, 2) => SelectExtended<short, ushort>(op),
            (2, 4) => SelectExtended<short, uint>(op),
            (2, 8) => SelectExtended<short, ulong>(op),
            (4, 2) => SelectExtended<int, ushort>(op),
            (4, 4) => SelectExtended<int, uint>(op),
            _ => SelectExtended<int, ulong>(op),
        };
    }

    private static delegate*<Vcpu, Operation*, Outcome> SelectExtended<TFrom, TTo>(Operation* op)
        where TFrom : unmanaged, IBinaryInteger<TFrom>
        where TTo : unmanaged, IBinaryInteger<TTo>
        => op->HasMemory ? &LoadExtended<TFrom, TTo> : &CopyExtended<TFrom, TTo>;

    private static Outcome CopyExtended<TFrom, TTo>(Vcpu vcpu, Operation* op)
        where TFrom : unmanaged, IBinaryInteger<TFrom>
        where TTo : unmanaged, IBinaryInteger<TTo>
    {
        TFrom value = Operands.Get<TFrom>(vcpu.State, op->Source);
        Operands.Set(vcpu.State, op->Destination, TTo.CreateTruncating(value));
        return Outcome.Next;
    }

    private static Outcome LoadExtended<TFrom, TTo>(Vcpu vcpu, Operation* op)
        where TFrom : unmanaged, IBinaryInteger<TFrom>
        where TTo : unmanaged, IBinaryInteger<TTo>
    {
        if (!vcpu.Mmu.TryRead(op, out TFrom value))
        {
            return Outcome.Fault;
        }

        Operands.Set(vcpu.State, op->Destination, TTo.CreateTruncating(value));
        return Outcome.Next;
    }

    private static void LowerAddress(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = Operands.BySize(
            instruction.Op0Register.GetSize(), null, &Address<ushort>, &Address<uint>, &Address<ulong>);

    private static Outcome Address<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        Operands.Set(vcpu.State, op->Destination, T.CreateTruncating(vcpu.Mmu.EffectiveAddress(op)));
        return Outcome.Next;
    }

    private static void LowerSwap(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = Operands.BySize(instruction.Op0Register.GetSize(), null, &Swap16, &Swap32, &Swap64);

    // Undefined by the manual; Intel's and AMD's CPUs clear the register.
    private static Outcome Swap16(Vcpu vcpu, Operation* op)
    {
        Operands.Set<ushort>(vcpu.State, op->Destination, 0);
        return Outcome.Next;
    }

    private static Outcome Swap32(Vcpu vcpu, Operation* op)
    {
        uint value = Operands.Get<uint>(vcpu.State, op->Destination);
        Operands.Set(vcpu.State, op->Destination, BinaryPrimitives.ReverseEndianness(value));
        return Outcome.Next;
    }

    private static Outcome Swap64(Vcpu vcpu, Operation* op)
    {
        ulong value = Operands.Get<ulong>(vcpu.State, op->Destination);
        Operands.Set(vcpu.State, op->Destination, BinaryPrimitives.ReverseEndianness(value));
        return Outcome.Next;
    }

    // The opcode's low four bits are the condition; Iced's ConditionCode numbers them so, from 1.
    private static void LowerConditionalMove(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->Extra = (byte)((int)instruction.ConditionCode - 1);
        op->Execute = Operands.SizeOf(instruction, 0) switch
        {
            2 => op->HasMemory ? &LoadIf<ushort> : &CopyIf<ushort>,
            4 => op->HasMemory ? &LoadIf<uint> : &CopyIf<uint>,
            _ => op->HasMemory ? &LoadIf<ulong> : &CopyIf<ulong>,
        };
    }

    // A 32-bit destination is zero-extended even when the condition is false.
    private static Outcome CopyIf<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        bool move = ArithmeticFlags.Condition(vcpu.State, op->Extra);
        Operands.Set(vcpu.State, op->Destination, Operands.Get<T>(vcpu.State, move ? op->Source : op->Destination));
        return Outcome.Next;
    }

    private static Outcome LoadIf<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        if (!vcpu.Mmu.TryRead(op, out T value))
        {
            return Outcome.Fault;
        }

        bool move = ArithmeticFlags.Condition(vcpu.State, op->Extra);
        Operands.Set(vcpu.State, op->Destination, move ? value : Operands.Get<T>(vcpu.State, op->Destination));
        return Outcome.Next;
    }

    private static void LowerConditionalSet(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->Extra = (byte)((int)instruction.ConditionCode - 1);
        op->Execute = op->HasMemory ? &StoreCondition : &SetCondition;
    }

    private static Outcome SetCondition(Vcpu vcpu, Operation* op)
    {
        Operands.Set<byte>(
            vcpu.State, op->Destination, ArithmeticFlags.Condition(vcpu.State, op->Extra) ? (byte)1 : (byte)0);
        return Outcome.Next;
    }

    private static Outcome StoreCondition(Vcpu vcpu, Operation* op)
        => vcpu.Mmu.TryWrite<byte>(op, ArithmeticFlags.Condition(vcpu.State, op->Extra) ? (byte)1 : (byte)0)
            ? Outcome.Next
            : Outcome.Fault;

    // XLATB's memory operand is [rBX + AL]: Iced gives it with AL as the index register.
    private static void LowerTranslate(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->Index = OperandLowering.ZeroSlot;
        op->Execute = &Translate;
    }

    private static Outcome Translate(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        op->Displacement = (byte)state->Gpr[0];
        if (!vcpu.Mmu.TryRead(op, out byte value))
        {
            return Outcome.Fault;
        }

        Operands.Set(state, 0, value);
        return Outcome.Next;
    }
}
