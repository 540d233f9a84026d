using System.Numerics;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>INC, DEC, NEG, NOT, in every form.</summary>
internal static unsafe class UnaryForms
{
    private const InstructionTraits Lockable = InstructionTraits.CopyToHost | InstructionTraits.Lockable;

    internal static void Define(TableBuilder table)
    {
        table.Define(Mnemonic.Inc, Lockable, &Lower<Increment>);
        table.Define(Mnemonic.Dec, Lockable, &Lower<Decrement>);
        table.Define(Mnemonic.Neg, Lockable, &Lower<Negate>);
        table.Define(Mnemonic.Not, Lockable, &Lower<Complement>);
    }

    private static void Lower<TOp>(LoweringContext context, in Instruction instruction, Operation* op)
        where TOp : struct, IUnaryOperation
    {
        int size = Operands.SizeOf(instruction, 0);
        op->Execute = size switch
        {
            1 => Select<TOp, byte>(op),
            2 => Select<TOp, ushort>(op),
            4 => Select<TOp, uint>(op),
            _ => Select<TOp, ulong>(op),
        };
    }

    private static delegate*<Vcpu, Operation*, Outcome> Select<TOp, T>(Operation* op)
        where TOp : struct, IUnaryOperation
        where T : unmanaged, IBinaryInteger<T>
        => !op->HasMemory
            ? &InRegister<TOp, T>
            : (op->Flags & OperationFlags.Lock) != 0 ? &LockedInMemory<TOp, T> : &InMemory<TOp, T>;

    private static Outcome InRegister<TOp, T>(Vcpu vcpu, Operation* op)
        where TOp : struct, IUnaryOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        CpuState* state = vcpu.State;
        Operands.Set(state, op->Destination, TOp.Apply(state, Operands.Get<T>(state, op->Destination)));
        return Outcome.Next;
    }

    private static Outcome InMemory<TOp, T>(Vcpu vcpu, Operation* op)
        where TOp : struct, IUnaryOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        T* value = vcpu.Mmu.BeginUpdate<T>(op);
        if (value == null)
        {
            return Outcome.Fault;
        }

        *value = TOp.Apply(vcpu.State, *value);
        vcpu.Mmu.EndWrite(value);
        return Outcome.Next;
    }

    private static Outcome LockedInMemory<TOp, T>(Vcpu vcpu, Operation* op)
        where TOp : struct, IUnaryOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        T* value = vcpu.Mmu.BeginUpdate<T>(op);
        if (value == null)
        {
            return Outcome.Fault;
        }

        ulong flags = ArithmeticFlags.Materialize(vcpu.State);
        T seen = *value;
        while (true)
        {
            T found = BinaryForms.CompareExchange(value, TOp.Apply(vcpu.State, seen), seen);
            if (found == seen)
            {
                vcpu.Mmu.EndWrite(value);
                return Outcome.Next;
            }

            ArithmeticFlags.WriteArithmetic(vcpu.State, flags);
            seen = found;
        }
    }

    // INC and DEC leave CF alone. Spec: SDM volume 2, "INC", "DEC".
    private readonly struct Increment : IUnaryOperation
    {
        public static T Apply<T>(CpuState* state, T value)
            where T : unmanaged, IBinaryInteger<T>
        {
            T result = value + T.One;
            T lowest = T.One << ((sizeof(T) * 8) - 1);
            bool adjust = (result & T.CreateTruncating(0xF)) == T.Zero;
            ArithmeticFlags.Set(state, result, ArithmeticFlags.Carry(state), result == lowest, adjust);
            return result;
        }
    }

    private readonly struct Decrement : IUnaryOperation
    {
        public static T Apply<T>(CpuState* state, T value)
            where T : unmanaged, IBinaryInteger<T>
        {
            T result = value - T.One;
            T lowest = T.One << ((sizeof(T) * 8) - 1);
            bool adjust = (value & T.CreateTruncating(0xF)) == T.Zero;
            ArithmeticFlags.Set(state, result, ArithmeticFlags.Carry(state), value == lowest, adjust);
            return result;
        }
    }

    private readonly struct Negate : IUnaryOperation
    {
        public static T Apply<T>(CpuState* state, T value)
            where T : unmanaged, IBinaryInteger<T>
        {
            T result = T.Zero - value;
            ArithmeticFlags.SetSubtract(state, T.Zero, value, result);
            return result;
        }
    }

    private readonly struct Complement : IUnaryOperation
    {
        public static T Apply<T>(CpuState* state, T value)
            where T : unmanaged, IBinaryInteger<T>
            => ~value;
    }
}
