using System.Numerics;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>ADD, ADC, SUB, SBB, CMP, AND, OR, XOR, TEST. Spec: SDM volume 2; flags: volume 1, 3.4.3.1.</summary>
internal static unsafe class Arithmetic
{
    private const InstructionTraits Plain = InstructionTraits.CopyToHost;
    private const InstructionTraits Lockable = InstructionTraits.CopyToHost | InstructionTraits.Lockable;

    internal static void Define(TableBuilder table)
    {
        table.Define(Mnemonic.Add, Lockable, &BinaryForms.Lower<Add>);
        table.Define(Mnemonic.Adc, Lockable, &BinaryForms.Lower<AddWithCarry>);
        table.Define(Mnemonic.Sub, Lockable, &BinaryForms.Lower<Subtract>);
        table.Define(Mnemonic.Sbb, Lockable, &BinaryForms.Lower<SubtractWithBorrow>);
        table.Define(Mnemonic.Cmp, Plain, &BinaryForms.Lower<Compare>);
        table.Define(Mnemonic.And, Lockable, &BinaryForms.Lower<And>);
        table.Define(Mnemonic.Or, Lockable, &BinaryForms.Lower<Or>);
        table.Define(Mnemonic.Xor, Lockable, &BinaryForms.Lower<Xor>);
        table.Define(Mnemonic.Test, Plain, &BinaryForms.Lower<Test>);
    }

    private readonly struct Add : IBinaryOperation
    {
        public static bool WritesResult => true;

        public static T Apply<T>(CpuState* state, T left, T right)
            where T : unmanaged, IBinaryInteger<T>
        {
            T result = left + right;
            ArithmeticFlags.SetAdd(state, left, right, result);
            return result;
        }
    }

    private readonly struct AddWithCarry : IBinaryOperation
    {
        public static bool WritesResult => true;

        public static T Apply<T>(CpuState* state, T left, T right)
            where T : unmanaged, IBinaryInteger<T>
        {
            T result = left + right + (ArithmeticFlags.Carry(state) ? T.One : T.Zero);
            ArithmeticFlags.SetAdd(state, left, right, result);
            return result;
        }
    }

    private readonly struct Subtract : IBinaryOperation
    {
        public static bool WritesResult => true;

        public static T Apply<T>(CpuState* state, T left, T right)
            where T : unmanaged, IBinaryInteger<T>
        {
            T result = left - right;
            ArithmeticFlags.SetSubtract(state, left, right, result);
            return result;
        }
    }

    private readonly struct SubtractWithBorrow : IBinaryOperation
    {
        public static bool WritesResult => true;

        public static T Apply<T>(CpuState* state, T left, T right)
            where T : unmanaged, IBinaryInteger<T>
        {
            T result = left - right - (ArithmeticFlags.Carry(state) ? T.One : T.Zero);
            ArithmeticFlags.SetSubtract(state, left, right, result);
            return result;
        }
    }

    private readonly struct Compare : IBinaryOperation
    {
        public static bool WritesResult => false;

        public static T Apply<T>(CpuState* state, T left, T right)
            where T : unmanaged, IBinaryInteger<T>
        {
            T result = left - right;
            ArithmeticFlags.SetSubtract(state, left, right, result);
            return result;
        }
    }

    private readonly struct And : IBinaryOperation
    {
        public static bool WritesResult => true;

        public static T Apply<T>(CpuState* state, T left, T right)
            where T : unmanaged, IBinaryInteger<T>
        {
            T result = left & right;
            ArithmeticFlags.SetLogic(state, result);
            return result;
        }
    }

    private readonly struct Or : IBinaryOperation
    {
        public static bool WritesResult => true;

        public static T Apply<T>(CpuState* state, T left, T right)
            where T : unmanaged, IBinaryInteger<T>
        {
            T result = left | right;
            ArithmeticFlags.SetLogic(state, result);
            return result;
        }
    }

    private readonly struct Xor : IBinaryOperation
    {
        public static bool WritesResult => true;

        public static T Apply<T>(CpuState* state, T left, T right)
            where T : unmanaged, IBinaryInteger<T>
        {
            T result = left ^ right;
            ArithmeticFlags.SetLogic(state, result);
            return result;
        }
    }

    private readonly struct Test : IBinaryOperation
    {
        public static bool WritesResult => false;

        public static T Apply<T>(CpuState* state, T left, T right)
            where T : unmanaged, IBinaryInteger<T>
        {
            T result = left & right;
            ArithmeticFlags.SetLogic(state, result);
            return result;
        }
    }
}
