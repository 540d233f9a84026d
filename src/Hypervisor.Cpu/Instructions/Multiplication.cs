using System;
using System.Numerics;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>MUL, IMUL, DIV, IDIV and the sign extensions that go with them. Spec: SDM volume 2.</summary>
internal static unsafe class Multiplication
{
    private const int Rax = 0, Rdx = 2;

    internal static void Define(TableBuilder table)
    {
        table.Define(Mnemonic.Mul, InstructionTraits.CopyToHost, &LowerMultiply);
        table.Define(Mnemonic.Imul, InstructionTraits.CopyToHost, &LowerSignedMultiply);
        table.Define(Mnemonic.Div, InstructionTraits.None, &LowerDivide);
        table.Define(Mnemonic.Idiv, InstructionTraits.None, &LowerSignedDivide);
        table.Define(Mnemonic.Cbw, InstructionTraits.CopyToHost, &LowerExtend);
        table.Define(Mnemonic.Cwde, InstructionTraits.CopyToHost, &LowerExtend);
        table.Define(Mnemonic.Cdqe, InstructionTraits.CopyToHost, &LowerExtend);
        table.Define(Mnemonic.Cwd, InstructionTraits.CopyToHost, &LowerExtend);
        table.Define(Mnemonic.Cdq, InstructionTraits.CopyToHost, &LowerExtend);
        table.Define(Mnemonic.Cqo, InstructionTraits.CopyToHost, &LowerExtend);
    }

    private static void LowerMultiply(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = Operands.BySize(
            Operands.SizeOf(instruction, 0),
            &Multiply<byte, ushort>, &Multiply<ushort, uint>, &Multiply<uint, ulong>, &Multiply<ulong, UInt128>);

    private static void LowerSignedMultiply(LoweringContext context, in Instruction instruction, Operation* op)
    {
        int size = Operands.SizeOf(instruction, 0);
        if (instruction.OpCount == 1)
        {
            op->Execute = Operands.BySize(
                size,
                &SignedMultiply<sbyte, short>, &SignedMultiply<short, int>, &SignedMultiply<int, long>,
                &SignedMultiply<long, Int128>);
            return;
        }

        // Two operands: first times second. Three: second times immediate.
        op->Extra = (byte)instruction.OpCount;
        op->Execute = Operands.BySize(
            size, null, &MultiplyInto<short, int>, &MultiplyInto<int, long>, &MultiplyInto<long, Int128>);
    }

    private static void LowerDivide(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = Operands.BySize(
            Operands.SizeOf(instruction, 0),
            &Divide<byte, ushort>, &Divide<ushort, uint>, &Divide<uint, ulong>, &Divide64);

    private static void LowerSignedDivide(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = Operands.BySize(
            Operands.SizeOf(instruction, 0),
            &SignedDivide<sbyte, short>, &SignedDivide<short, int>, &SignedDivide<int, long>, &SignedDivide64);

    private static bool TryOperand<T>(Vcpu vcpu, Operation* op, out T value)
        where T : unmanaged
    {
        if (op->HasMemory)
        {
            return vcpu.Mmu.TryRead(op, out value);
        }

        value = Operands.Get<T>(vcpu.State, op->Destination);
        return true;
    }

    // SF, ZF, AF and PF are undefined; current Intel CPUs set SF and PF from the low half and clear ZF and AF.
    private static void SetMultiplyFlags<T>(CpuState* state, T low, bool overflow)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong wide = ulong.CreateTruncating(low);
        bool sign = ((wide >> ((sizeof(T) * 8) - 1)) & 1) != 0;
        bool parity = (BitOperations.PopCount((byte)wide) & 1) == 0;
        ArithmeticFlags.WriteArithmetic(
            state,
            (overflow ? Rflags.Carry | Rflags.Overflow : 0) | (sign ? Rflags.Sign : 0) | (parity ? Rflags.Parity : 0));
    }

    private static Outcome Multiply<T, TWide>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TWide : unmanaged, IBinaryInteger<TWide>
    {
        if (!TryOperand(vcpu, op, out T right))
        {
            return Outcome.Fault;
        }

        CpuState* state = vcpu.State;
        TWide product = TWide.CreateTruncating(Operands.Get<T>(state, Rax * 8)) * TWide.CreateTruncating(right);
        T low = T.CreateTruncating(product);
        T high = T.CreateTruncating(product >>> (sizeof(T) * 8));
        StorePair(state, low, high);
        SetMultiplyFlags(state, low, !T.IsZero(high));
        return Outcome.Next;
    }

    private static Outcome SignedMultiply<T, TWide>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TWide : unmanaged, IBinaryInteger<TWide>
    {
        if (!TryOperand(vcpu, op, out T right))
        {
            return Outcome.Fault;
        }

        CpuState* state = vcpu.State;
        TWide product = TWide.CreateTruncating(Operands.Get<T>(state, Rax * 8)) * TWide.CreateTruncating(right);
        T low = T.CreateTruncating(product);
        StorePair(state, low, T.CreateTruncating(product >> (sizeof(T) * 8)));
        SetMultiplyFlags(state, low, TWide.CreateTruncating(low) != product);
        return Outcome.Next;
    }

    private static Outcome MultiplyInto<T, TWide>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TWide : unmanaged, IBinaryInteger<TWide>
    {
        CpuState* state = vcpu.State;
        T right;
        if (op->HasMemory)
        {
            if (!vcpu.Mmu.TryRead(op, out right))
            {
                return Outcome.Fault;
            }
        }
        else
        {
            right = Operands.Get<T>(state, op->Source);
        }

        T left = op->Extra == 3 ? T.CreateTruncating(op->Immediate) : Operands.Get<T>(state, op->Destination);
        TWide product = TWide.CreateTruncating(left) * TWide.CreateTruncating(right);
        T low = T.CreateTruncating(product);
        SetRegister(state, op->Destination, low);
        SetMultiplyFlags(state, low, TWide.CreateTruncating(low) != product);
        return Outcome.Next;
    }

    // AX for bytes, otherwise rDX:rAX.
    private static void StorePair<T>(CpuState* state, T low, T high)
        where T : unmanaged, IBinaryInteger<T>
    {
        if (sizeof(T) == 1)
        {
            Operands.Set(state, 0, byte.CreateTruncating(low));
            Operands.Set(state, 1, byte.CreateTruncating(high));
        }
        else
        {
            SetRegister(state, Rax * 8, low);
            SetRegister(state, Rdx * 8, high);
        }
    }

    // As Operands.Set, for signed types too: zero-extension goes by the bits.
    private static void SetRegister<T>(CpuState* state, byte slot, T value)
        where T : unmanaged, IBinaryInteger<T>
    {
        if (sizeof(T) == sizeof(uint))
        {
            Operands.Set(state, slot, uint.CreateTruncating(value));
        }
        else
        {
            Operands.Set(state, slot, value);
        }
    }

    // Flags are undefined after a division; they stay.
    private static Outcome Divide<T, TWide>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TWide : unmanaged, IBinaryInteger<TWide>
    {
        if (!TryOperand(vcpu, op, out T divisor))
        {
            return Outcome.Fault;
        }

        CpuState* state = vcpu.State;
        TWide dividend = Dividend<T, TWide>(state);
        if (T.IsZero(divisor))
        {
            return vcpu.Raise(ExceptionVector.DivideError);
        }

        TWide quotient = dividend / TWide.CreateTruncating(divisor);
        if (TWide.CreateTruncating(T.CreateTruncating(quotient)) != quotient)
        {
            return vcpu.Raise(ExceptionVector.DivideError);
        }

        TWide remainder = dividend - (quotient * TWide.CreateTruncating(divisor));
        StorePair(state, T.CreateTruncating(quotient), T.CreateTruncating(remainder));
        return Outcome.Next;
    }

    private static Outcome SignedDivide<T, TWide>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        where TWide : unmanaged, IBinaryInteger<TWide>, IMinMaxValue<TWide>
    {
        if (!TryOperand(vcpu, op, out T divisor))
        {
            return Outcome.Fault;
        }

        CpuState* state = vcpu.State;
        TWide dividend = Dividend<T, TWide>(state);

        // The lowest number divided by -1 does not fit the wide type either, and .NET throws for it.
        if (T.IsZero(divisor) || (dividend == TWide.MinValue && divisor == -T.One))
        {
            return vcpu.Raise(ExceptionVector.DivideError);
        }

        TWide wideDivisor = TWide.CreateTruncating(divisor);
        TWide quotient = dividend / wideDivisor;
        if (TWide.CreateTruncating(T.CreateTruncating(quotient)) != quotient)
        {
            return vcpu.Raise(ExceptionVector.DivideError);
        }

        TWide remainder = dividend - (quotient * wideDivisor);
        StorePair(state, T.CreateTruncating(quotient), T.CreateTruncating(remainder));
        return Outcome.Next;
    }

    private static TWide Dividend<T, TWide>(CpuState* state)
        where T : unmanaged
        where TWide : unmanaged, IBinaryInteger<TWide>
        => sizeof(T) == 1
            ? TWide.CreateTruncating((short)(ushort)state->Gpr[Rax])
            : TWide.CreateTruncating(sizeof(T) == 2
                ? (state->Gpr[Rdx] << 16) | (ushort)state->Gpr[Rax]
                : (state->Gpr[Rdx] << 32) | (uint)state->Gpr[Rax]);

    private static Outcome Divide64(Vcpu vcpu, Operation* op)
    {
        if (!TryOperand(vcpu, op, out ulong divisor))
        {
            return Outcome.Fault;
        }

        CpuState* state = vcpu.State;
        ulong high = state->Gpr[Rdx];
        if (high >= divisor)
        {
            return vcpu.Raise(ExceptionVector.DivideError); // zero divisor, or a quotient of more than 64 bits
        }

        if (high == 0)
        {
            (state->Gpr[Rax], state->Gpr[Rdx]) = Math.DivRem(state->Gpr[Rax], divisor);
            return Outcome.Next;
        }

        var dividend = new UInt128(high, state->Gpr[Rax]);
        UInt128 quotient = dividend / divisor;
        state->Gpr[Rax] = (ulong)quotient;
        state->Gpr[Rdx] = (ulong)(dividend - (quotient * divisor));
        return Outcome.Next;
    }

    private static Outcome SignedDivide64(Vcpu vcpu, Operation* op)
    {
        if (!TryOperand(vcpu, op, out long divisor))
        {
            return Outcome.Fault;
        }

        CpuState* state = vcpu.State;
        var dividend = (Int128)new UInt128(state->Gpr[Rdx], state->Gpr[Rax]);
        if (divisor == 0 || (dividend == Int128.MinValue && divisor == -1))
        {
            return vcpu.Raise(ExceptionVector.DivideError);
        }

        Int128 quotient = dividend / divisor;
        if ((long)quotient != quotient)
        {
            return vcpu.Raise(ExceptionVector.DivideError);
        }

        state->Gpr[Rax] = (ulong)(long)quotient;
        state->Gpr[Rdx] = (ulong)(long)(dividend - (quotient * divisor));
        return Outcome.Next;
    }

    private static void LowerExtend(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = instruction.Mnemonic switch
        {
            Mnemonic.Cbw => &ExtendByte,
            Mnemonic.Cwde => &ExtendWord,
            Mnemonic.Cdqe => &ExtendDword,
            Mnemonic.Cwd => &SpreadWord,
            Mnemonic.Cdq => &SpreadDword,
            _ => &SpreadQword,
        };

    private static Outcome ExtendByte(Vcpu vcpu, Operation* op)
    {
        Operands.Set(vcpu.State, Rax * 8, (ushort)(sbyte)vcpu.State->Gpr[Rax]);
        return Outcome.Next;
    }

    private static Outcome ExtendWord(Vcpu vcpu, Operation* op)
    {
        vcpu.State->Gpr[Rax] = (uint)(short)vcpu.State->Gpr[Rax];
        return Outcome.Next;
    }

    private static Outcome ExtendDword(Vcpu vcpu, Operation* op)
    {
        vcpu.State->Gpr[Rax] = (ulong)(int)vcpu.State->Gpr[Rax];
        return Outcome.Next;
    }

    private static Outcome SpreadWord(Vcpu vcpu, Operation* op)
    {
        Operands.Set(vcpu.State, Rdx * 8, (ushort)((short)vcpu.State->Gpr[Rax] >> 15));
        return Outcome.Next;
    }

    private static Outcome SpreadDword(Vcpu vcpu, Operation* op)
    {
        vcpu.State->Gpr[Rdx] = (uint)((int)vcpu.State->Gpr[Rax] >> 31);
        return Outcome.Next;
    }

    private static Outcome SpreadQword(Vcpu vcpu, Operation* op)
    {
        vcpu.State->Gpr[Rdx] = (ulong)((long)vcpu.State->Gpr[Rax] >> 63);
        return Outcome.Next;
    }
}
