using System.Numerics;
using System.Runtime.CompilerServices;
using System.Threading;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>The operand forms of two-operand instructions, once for all of them.</summary>
/// <remarks>
/// Operand lowering puts the first register operand into Destination, so in the forms with a memory destination the
/// source register is found there.
/// </remarks>
internal static unsafe class BinaryForms
{
    internal static void Lower<TOp>(LoweringContext context, in Instruction instruction, Operation* op)
        where TOp : struct, IBinaryOperation
    {
        int size = Operands.SizeOf(instruction, 0);
        op->OperandBytes = (byte)size;
        bool memoryFirst = instruction.Op0Kind == OpKind.Memory;
        bool immediate = instruction.Op1Kind is not OpKind.Register and not OpKind.Memory;
        op->Execute = size switch
        {
            1 => Select<TOp, byte>(memoryFirst, immediate, op),
            2 => Select<TOp, ushort>(memoryFirst, immediate, op),
            4 => Select<TOp, uint>(memoryFirst, immediate, op),
            _ => Select<TOp, ulong>(memoryFirst, immediate, op),
        };
    }

    /// <summary>Compare-and-swap of any integer width.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static T CompareExchange<T>(T* location, T value, T comparand)
        where T : unmanaged
        => sizeof(T) switch
        {
            1 => Cast<byte, T>(Interlocked.CompareExchange(
                ref *(byte*)location, Cast<T, byte>(value), Cast<T, byte>(comparand))),
            2 => Cast<ushort, T>(Interlocked.CompareExchange(
                ref *(ushort*)location, Cast<T, ushort>(value), Cast<T, ushort>(comparand))),
            4 => Cast<uint, T>(Interlocked.CompareExchange(
                ref *(uint*)location, Cast<T, uint>(value), Cast<T, uint>(comparand))),
            _ => Cast<ulong, T>(Interlocked.CompareExchange(
                ref *(ulong*)location, Cast<T, ulong>(value), Cast<T, ulong>(comparand))),
        };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TTo Cast<TFrom, TTo>(TFrom value)
        where TFrom : unmanaged
        where TTo : unmanaged
        => *(TTo*)&value;

    private static delegate*<Vcpu, Operation*, Outcome> Select<TOp, T>(
        bool memoryFirst, bool immediate, Operation* op)
        where TOp : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        if (memoryFirst && (op->Flags & OperationFlags.Lock) != 0)
        {
            return immediate ? &LockedMemoryImmediate<TOp, T> : &LockedMemoryRegister<TOp, T>;
        }

        if (memoryFirst)
        {
            return immediate ? &MemoryImmediate<TOp, T> : &MemoryRegister<TOp, T>;
        }

        return op->HasMemory
            ? &RegisterMemory<TOp, T>
            : immediate ? &RegisterImmediate<TOp, T> : &RegisterRegister<TOp, T>;
    }

    private static Outcome RegisterRegister<TOp, T>(Vcpu vcpu, Operation* op)
        where TOp : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        CpuState* state = vcpu.State;
        T result = TOp.Apply(state, Operands.Get<T>(state, op->Destination), Operands.Get<T>(state, op->Source));
        if (TOp.WritesResult)
        {
            Operands.Set(state, op->Destination, result);
        }

        return Outcome.Next;
    }

    private static Outcome RegisterImmediate<TOp, T>(Vcpu vcpu, Operation* op)
        where TOp : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        CpuState* state = vcpu.State;
        T result = TOp.Apply(state, Operands.Get<T>(state, op->Destination), T.CreateTruncating(op->Immediate));
        if (TOp.WritesResult)
        {
            Operands.Set(state, op->Destination, result);
        }

        return Outcome.Next;
    }

    private static Outcome RegisterMemory<TOp, T>(Vcpu vcpu, Operation* op)
        where TOp : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        if (!vcpu.Mmu.TryRead(op, out T right))
        {
            return Outcome.Fault;
        }

        CpuState* state = vcpu.State;
        T result = TOp.Apply(state, Operands.Get<T>(state, op->Destination), right);
        if (TOp.WritesResult)
        {
            Operands.Set(state, op->Destination, result);
        }

        return Outcome.Next;
    }

    private static Outcome MemoryRegister<TOp, T>(Vcpu vcpu, Operation* op)
        where TOp : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
        => Memory<TOp, T>(vcpu, op, Operands.Get<T>(vcpu.State, op->Destination));

    private static Outcome MemoryImmediate<TOp, T>(Vcpu vcpu, Operation* op)
        where TOp : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
        => Memory<TOp, T>(vcpu, op, T.CreateTruncating(op->Immediate));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Outcome Memory<TOp, T>(Vcpu vcpu, Operation* op, T right)
        where TOp : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        if (!TOp.WritesResult)
        {
            if (!vcpu.Mmu.TryRead(op, out T value))
            {
                return Outcome.Fault;
            }

            _ = TOp.Apply(vcpu.State, value, right);
            return Outcome.Next;
        }

        T* left = vcpu.Mmu.BeginUpdate<T>(op);
        if (left == null)
        {
            return Outcome.Fault;
        }

        *left = TOp.Apply(vcpu.State, *left, right);
        vcpu.Mmu.EndWrite(left);
        return Outcome.Next;
    }

    private static Outcome LockedMemoryRegister<TOp, T>(Vcpu vcpu, Operation* op)
        where TOp : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
        => Locked<TOp, T>(vcpu, op, Operands.Get<T>(vcpu.State, op->Destination));

    private static Outcome LockedMemoryImmediate<TOp, T>(Vcpu vcpu, Operation* op)
        where TOp : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
        => Locked<TOp, T>(vcpu, op, T.CreateTruncating(op->Immediate));

    // The flags come from the last attempt, the one that succeeded; ADC and SBB read CF before it changes.
    private static Outcome Locked<TOp, T>(Vcpu vcpu, Operation* op, T right)
        where TOp : struct, IBinaryOperation
        where T : unmanaged, IBinaryInteger<T>
    {
        T* left = vcpu.Mmu.BeginUpdate<T>(op);
        if (left == null)
        {
            return Outcome.Fault;
        }

        ulong flags = ArithmeticFlags.Materialize(vcpu.State);
        T seen = *left;
        while (true)
        {
            T result = TOp.Apply(vcpu.State, seen, right);
            T found = CompareExchange(left, result, seen);
            if (found == seen)
            {
                vcpu.Mmu.EndWrite(left);
                return Outcome.Next;
            }

            ArithmeticFlags.WriteArithmetic(vcpu.State, flags);
            seen = found;
        }
    }
}
