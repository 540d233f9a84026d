using System.Numerics;
using System.Runtime.CompilerServices;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>SHL, SHR, SAR, ROL, ROR, RCL, RCR. Spec: SDM volume 2, "SAL/SAR/SHL/SHR", "RCL/RCR/ROL/ROR".</summary>
/// <remarks>
/// OF is computed for every count as for a shift by one from the last step, which is what Intel's CPUs do.
/// </remarks>
internal static unsafe class Shifts
{
    internal static void Define(TableBuilder table)
    {
        table.Define(Mnemonic.Shl, InstructionTraits.CopyToHost, &Lower<ShiftLeft>);
        table.Define(Mnemonic.Sal, InstructionTraits.CopyToHost, &Lower<ShiftLeft>);
        table.Define(Mnemonic.Shr, InstructionTraits.CopyToHost, &Lower<ShiftRight>);
        table.Define(Mnemonic.Sar, InstructionTraits.CopyToHost, &Lower<ShiftArithmetic>);
        table.Define(Mnemonic.Rol, InstructionTraits.CopyToHost, &Lower<RotateLeft>);
        table.Define(Mnemonic.Ror, InstructionTraits.CopyToHost, &Lower<RotateRight>);
        table.Define(Mnemonic.Rcl, InstructionTraits.CopyToHost, &Lower<RotateCarryLeft>);
        table.Define(Mnemonic.Rcr, InstructionTraits.CopyToHost, &Lower<RotateCarryRight>);
    }

    private interface IShift
    {
        /// <summary>Computes; the count is masked to 5 or 6 bits and not zero.</summary>
        static abstract T Apply<T>(CpuState* state, T value, int count)
            where T : unmanaged, IBinaryInteger<T>;
    }

    private static void Lower<TOp>(LoweringContext context, in Instruction instruction, Operation* op)
        where TOp : struct, IShift
    {
        int size = Operands.SizeOf(instruction, 0);
        bool byRegister = instruction.Op1Kind == OpKind.Register;
        if (!byRegister)
        {
            op->Immediate &= size == 8 ? 0x3Ful : 0x1F;
        }

        op->Execute = size switch
        {
            1 => Select<TOp, byte>(op, byRegister),
            2 => Select<TOp, ushort>(op, byRegister),
            4 => Select<TOp, uint>(op, byRegister),
            _ => Select<TOp, ulong>(op, byRegister),
        };
    }

    private static delegate*<Vcpu, Operation*, Outcome> Select<TOp, T>(Operation* op, bool byRegister)
        where TOp : struct, IShift
        where T : unmanaged, IBinaryInteger<T>
        => op->HasMemory
            ? byRegister ? &MemoryByRegister<TOp, T> : &MemoryByImmediate<TOp, T>
            : byRegister ? &RegisterByRegister<TOp, T> : &RegisterByImmediate<TOp, T>;

    private static Outcome RegisterByImmediate<TOp, T>(Vcpu vcpu, Operation* op)
        where TOp : struct, IShift
        where T : unmanaged, IBinaryInteger<T>
        => InRegister<TOp, T>(vcpu.State, op, (int)op->Immediate);

    private static Outcome RegisterByRegister<TOp, T>(Vcpu vcpu, Operation* op)
        where TOp : struct, IShift
        where T : unmanaged, IBinaryInteger<T>
        => InRegister<TOp, T>(vcpu.State, op, (int)vcpu.State->Gpr[1] & (sizeof(T) == 8 ? 0x3F : 0x1F));

    private static Outcome MemoryByImmediate<TOp, T>(Vcpu vcpu, Operation* op)
        where TOp : struct, IShift
        where T : unmanaged, IBinaryInteger<T>
        => InMemory<TOp, T>(vcpu, op, (int)op->Immediate);

    private static Outcome MemoryByRegister<TOp, T>(Vcpu vcpu, Operation* op)
        where TOp : struct, IShift
        where T : unmanaged, IBinaryInteger<T>
        => InMemory<TOp, T>(vcpu, op, (int)vcpu.State->Gpr[1] & (sizeof(T) == 8 ? 0x3F : 0x1F));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Outcome InRegister<TOp, T>(CpuState* state, Operation* op, int count)
        where TOp : struct, IShift
        where T : unmanaged, IBinaryInteger<T>
    {
        T value = Operands.Get<T>(state, op->Destination);

        // A 32-bit register is zero-extended even when the count is zero.
        Operands.Set(state, op->Destination, count == 0 ? value : TOp.Apply(state, value, count));
        return Outcome.Next;
    }

    private static Outcome InMemory<TOp, T>(Vcpu vcpu, Operation* op, int count)
        where TOp : struct, IShift
        where T : unmanaged, IBinaryInteger<T>
    {
        T* value = vcpu.Mmu.BeginUpdate<T>(op);
        if (value == null)
        {
            return Outcome.Fault;
        }

        if (count != 0)
        {
            *value = TOp.Apply(vcpu.State, *value, count);
        }

        vcpu.Mmu.EndWrite(value);
        return Outcome.Next;
    }

    private static bool TopBit<T>(T value)
        where T : unmanaged, IBinaryInteger<T>
        => !T.IsZero(value >>> ((sizeof(T) * 8) - 1));

    private static bool Bit<T>(T value, int index)
        where T : unmanaged, IBinaryInteger<T>
        => !T.IsZero((value >>> index) & T.One);

    // Rotations change CF and OF only.
    private static void SetCarryOverflow(CpuState* state, bool carry, bool overflow)
    {
        ulong flags = ArithmeticFlags.Materialize(state) & ~(Rflags.Carry | Rflags.Overflow);
        state->Rflags = flags | (carry ? Rflags.Carry : 0) | (overflow ? Rflags.Overflow : 0);
    }

    private readonly struct ShiftLeft : IShift
    {
        public static T Apply<T>(CpuState* state, T value, int count)
            where T : unmanaged, IBinaryInteger<T>
        {
            int bits = sizeof(T) * 8;
            bool carry = count <= bits && Bit(value, bits - count);
            T result = count < bits ? value << count : T.Zero;
            ArithmeticFlags.Set(state, result, carry, carry != TopBit(result), false);
            return result;
        }
    }

    private readonly struct ShiftRight : IShift
    {
        public static T Apply<T>(CpuState* state, T value, int count)
            where T : unmanaged, IBinaryInteger<T>
        {
            int bits = sizeof(T) * 8;
            bool carry = count <= bits && Bit(value, count - 1);
            T result = count < bits ? value >>> count : T.Zero;
            ArithmeticFlags.Set(state, result, carry, count == 1 && TopBit(value), false);
            return result;
        }
    }

    private readonly struct ShiftArithmetic : IShift
    {
        public static T Apply<T>(CpuState* state, T value, int count)
            where T : unmanaged, IBinaryInteger<T>
        {
            long wide = (long)(ulong.CreateTruncating(value) << (64 - (sizeof(T) * 8))) >> (64 - (sizeof(T) * 8));
            bool carry = ((wide >> (count - 1)) & 1) != 0;
            T result = T.CreateTruncating(wide >> count);
            ArithmeticFlags.Set(state, result, carry, false, false);
            return result;
        }
    }

    private readonly struct RotateLeft : IShift
    {
        public static T Apply<T>(CpuState* state, T value, int count)
            where T : unmanaged, IBinaryInteger<T>
        {
            int bits = sizeof(T) * 8;
            int turns = count & (bits - 1);
            T result = turns == 0 ? value : (value << turns) | (value >>> (bits - turns));
            bool carry = Bit(result, 0);
            SetCarryOverflow(state, carry, carry != TopBit(result));
            return result;
        }
    }

    private readonly struct RotateRight : IShift
    {
        public static T Apply<T>(CpuState* state, T value, int count)
            where T : unmanaged, IBinaryInteger<T>
        {
            int bits = sizeof(T) * 8;
            int turns = count & (bits - 1);
            T result = turns == 0 ? value : (value >>> turns) | (value << (bits - turns));
            SetCarryOverflow(state, TopBit(result), TopBit(result) != Bit(result, bits - 2));
            return result;
        }
    }

    private readonly struct RotateCarryLeft : IShift
    {
        public static T Apply<T>(CpuState* state, T value, int count)
            where T : unmanaged, IBinaryInteger<T>
        {
            int bits = sizeof(T) * 8;
            bool carry = ArithmeticFlags.Carry(state);
            T result = value;
            for (int i = count % (bits + 1); i > 0; i--)
            {
                bool next = TopBit(result);
                result = (result << 1) | (carry ? T.One : T.Zero);
                carry = next;
            }

            SetCarryOverflow(state, carry, carry != TopBit(result));
            return result;
        }
    }

    private readonly struct RotateCarryRight : IShift
    {
        public static T Apply<T>(CpuState* state, T value, int count)
            where T : unmanaged, IBinaryInteger<T>
        {
            int bits = sizeof(T) * 8;
            bool carry = ArithmeticFlags.Carry(state);
            T result = value;
            for (int i = count % (bits + 1); i > 0; i--)
            {
                bool next = Bit(result, 0);
                result = (result >>> 1) | (carry ? T.One << (bits - 1) : T.Zero);
                carry = next;
            }

            SetCarryOverflow(state, carry, TopBit(result) != Bit(result, bits - 2));
            return result;
        }
    }
}
