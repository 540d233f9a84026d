using System.Numerics;
using System.Threading;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Paging;
using Hypervisor.Cpu.State;
using Hypervisor.Cpu.Translation;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>XCHG, XADD, CMPXCHG, CMPXCHG8B, CMPXCHG16B. Spec: SDM volume 2; locking: volume 3, 9.1.</summary>
/// <remarks>
/// XCHG with memory always locks; the others are done with host atomics whether or not LOCK is there.
/// </remarks>
internal static unsafe class Exchanges
{
    private const int Rax = 0, Rcx = 1, Rdx = 2, Rbx = 3;
    private const InstructionTraits Lockable = InstructionTraits.CopyToHost | InstructionTraits.Lockable;

    internal static void Define(TableBuilder table)
    {
        table.Define(Mnemonic.Xchg, Lockable, &LowerExchange);
        table.Define(Mnemonic.Xadd, Lockable, &LowerExchangeAdd);
        table.Define(Mnemonic.Cmpxchg, Lockable, &LowerCompareExchange);
        table.Define(Mnemonic.Cmpxchg8b, Lockable, &LowerCompareExchange8);
        table.Define(Mnemonic.Cmpxchg16b, Lockable, &LowerCompareExchange16);
    }

    private static void LowerExchange(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = Operands.SizeOf(instruction, 0) switch
        {
            1 => op->HasMemory ? &ExchangeMemory<byte> : &ExchangeRegister<byte>,
            2 => op->HasMemory ? &ExchangeMemory<ushort> : &ExchangeRegister<ushort>,
            4 => op->HasMemory ? &ExchangeMemory<uint> : &ExchangeRegister<uint>,
            _ => op->HasMemory ? &ExchangeMemory<ulong> : &ExchangeRegister<ulong>,
        };

    private static Outcome ExchangeRegister<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        CpuState* state = vcpu.State;
        T first = Operands.Get<T>(state, op->Destination);
        T second = Operands.Get<T>(state, op->Source);
        Operands.Set(state, op->Destination, second);
        Operands.Set(state, op->Source, first);
        return Outcome.Next;
    }

    private static Outcome ExchangeMemory<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        T* memory = vcpu.Mmu.BeginUpdate<T>(op);
        if (memory == null)
        {
            return Outcome.Fault;
        }

        T value = Operands.Get<T>(vcpu.State, op->Destination);
        T seen = *memory;
        T found;
        while ((found = BinaryForms.CompareExchange(memory, value, seen)) != seen)
        {
            seen = found;
        }

        vcpu.Mmu.EndWrite(memory);
        Operands.Set(vcpu.State, op->Destination, seen);
        return Outcome.Next;
    }

    private static void LowerExchangeAdd(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = Operands.SizeOf(instruction, 0) switch
        {
            1 => op->HasMemory ? &AddMemory<byte> : &AddRegister<byte>,
            2 => op->HasMemory ? &AddMemory<ushort> : &AddRegister<ushort>,
            4 => op->HasMemory ? &AddMemory<uint> : &AddRegister<uint>,
            _ => op->HasMemory ? &AddMemory<ulong> : &AddRegister<ulong>,
        };

    private static Outcome AddRegister<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        CpuState* state = vcpu.State;
        T first = Operands.Get<T>(state, op->Destination);
        T second = Operands.Get<T>(state, op->Source);
        T sum = first + second;
        Operands.Set(state, op->Source, first);
        Operands.Set(state, op->Destination, sum); // last: XADD of a register with itself holds the sum
        ArithmeticFlags.SetAdd(state, first, second, sum);
        return Outcome.Next;
    }

    private static Outcome AddMemory<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        T* memory = vcpu.Mmu.BeginUpdate<T>(op);
        if (memory == null)
        {
            return Outcome.Fault;
        }

        T addend = Operands.Get<T>(vcpu.State, op->Destination);
        T seen = *memory;
        T found;
        while ((found = BinaryForms.CompareExchange(memory, seen + addend, seen)) != seen)
        {
            seen = found;
        }

        vcpu.Mmu.EndWrite(memory);
        ArithmeticFlags.SetAdd(vcpu.State, seen, addend, seen + addend);
        Operands.Set(vcpu.State, op->Destination, seen);
        return Outcome.Next;
    }

    private static void LowerCompareExchange(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = Operands.SizeOf(instruction, 0) switch
        {
            1 => op->HasMemory ? &CompareMemory<byte> : &CompareRegister<byte>,
            2 => op->HasMemory ? &CompareMemory<ushort> : &CompareRegister<ushort>,
            4 => op->HasMemory ? &CompareMemory<uint> : &CompareRegister<uint>,
            _ => op->HasMemory ? &CompareMemory<ulong> : &CompareRegister<ulong>,
        };

    private static Outcome CompareRegister<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        CpuState* state = vcpu.State;
        T accumulator = Operands.Get<T>(state, Rax);
        T value = Operands.Get<T>(state, op->Destination);
        ArithmeticFlags.SetSubtract(state, accumulator, value, accumulator - value);
        if (accumulator == value)
        {
            Operands.Set(state, op->Destination, Operands.Get<T>(state, op->Source));
        }
        else
        {
            Operands.Set(state, Rax, value);
        }

        return Outcome.Next;
    }

    private static Outcome CompareMemory<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        T* memory = vcpu.Mmu.BeginUpdate<T>(op);
        if (memory == null)
        {
            return Outcome.Fault;
        }

        CpuState* state = vcpu.State;
        T accumulator = Operands.Get<T>(state, Rax);
        T found = BinaryForms.CompareExchange(memory, Operands.Get<T>(state, op->Destination), accumulator);
        vcpu.Mmu.EndWrite(memory);
        ArithmeticFlags.SetSubtract(state, accumulator, found, accumulator - found);
        if (found != accumulator)
        {
            Operands.Set(state, Rax, found);
        }

        return Outcome.Next;
    }

    private static void SetZero(CpuState* state, bool zero)
    {
        ulong flags = ArithmeticFlags.Materialize(state) & ~Rflags.Zero;
        state->Rflags = flags | (zero ? Rflags.Zero : 0);
    }

    private static void LowerCompareExchange8(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = &CompareExchange8;

    private static Outcome CompareExchange8(Vcpu vcpu, Operation* op)
    {
        ulong* memory = vcpu.Mmu.BeginUpdate<ulong>(op);
        if (memory == null)
        {
            return Outcome.Fault;
        }

        CpuState* state = vcpu.State;
        ulong expected = (state->Gpr[Rdx] << 32) | (uint)state->Gpr[Rax];
        ulong replacement = (state->Gpr[Rcx] << 32) | (uint)state->Gpr[Rbx];
        ulong found = Interlocked.CompareExchange(ref *memory, replacement, expected);
        vcpu.Mmu.EndWrite(memory);
        SetZero(state, found == expected);
        if (found != expected)
        {
            state->Gpr[Rax] = (uint)found;
            state->Gpr[Rdx] = found >> 32;
        }

        return Outcome.Next;
    }

    // .NET has no 16-byte compare-and-swap: the host's instruction runs, with LOCK in any case.
    private static void LowerCompareExchange16(LoweringContext context, in Instruction instruction, Operation* op)
    {
        Instruction locked = instruction;
        locked.HasLockPrefix = true;
        if (HostInstructions.TryAttachStub(context, locked, op, StubParts.Flags))
        {
            op->Source = (byte)HostUse.Flags;
            op->Execute = &CompareExchange16;
        }
    }

    private static Outcome CompareExchange16(Vcpu vcpu, Operation* op)
    {
        if (!vcpu.Mmu.TryAddress(op, 16, MemoryAccess.Write, out ulong linear))
        {
            return Outcome.Fault;
        }

        if ((linear & 15) != 0)
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        byte* memory = vcpu.Mmu.BeginWriteLinear(linear, 16, op->Segment, keep: true);
        if (memory == null)
        {
            return Outcome.Fault;
        }

        HostInstructions.Call(vcpu.State, op, memory);
        vcpu.Mmu.EndWrite(memory);
        return Outcome.Next;
    }
}
