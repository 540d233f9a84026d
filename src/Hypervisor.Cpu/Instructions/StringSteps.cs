using System.Numerics;
using System.Runtime.CompilerServices;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Paging;
using Hypervisor.Cpu.State;
using static Hypervisor.Cpu.Instructions.Strings;

namespace Hypervisor.Cpu.Instructions;

/// <summary>One element of a string instruction.</summary>
internal static unsafe class StringSteps
{
    private const int Rsi = 6, Rdi = 7;

    internal interface IStep
    {
        /// <summary>One element, registers moved. False: fault.</summary>
        static abstract bool Do(Vcpu vcpu, Operation* op);
    }

    private static bool Source<T>(Vcpu vcpu, Operation* op, out T value)
        where T : unmanaged
    {
        value = default;
        ulong offset = Truncate(vcpu.State->Gpr[Rsi], op->AddressBytes);
        return vcpu.Mmu.TrySegment(op->Segment, offset, sizeof(T), MemoryAccess.Read, out ulong linear)
            && vcpu.Mmu.TryReadLinear(linear, op->Segment, out value);
    }

    private static bool Target(
        Vcpu vcpu, Operation* op, int sizeBytes, MemoryAccess access, out ulong linear)
        => vcpu.Mmu.TrySegment(
            SegmentRegister.Es, Truncate(vcpu.State->Gpr[Rdi], op->AddressBytes), sizeBytes, access, out linear);

    private static void Advance(CpuState* state, Operation* op, int register, int sizeBytes)
    {
        long delta = (state->Rflags & Rflags.Direction) != 0 ? -sizeBytes : sizeBytes;
        state->Gpr[register] = Add(state->Gpr[register], delta, op->AddressBytes);
    }

    internal readonly struct MoveStep<T> : IStep
        where T : unmanaged
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool Do(Vcpu vcpu, Operation* op)
        {
            if (!Source(vcpu, op, out T value)
                || !Target(vcpu, op, sizeof(T), MemoryAccess.Write, out ulong linear)
                || !vcpu.Mmu.TryWriteLinear(linear, SegmentRegister.Es, value))
            {
                return false;
            }

            Advance(vcpu.State, op, Rsi, sizeof(T));
            Advance(vcpu.State, op, Rdi, sizeof(T));
            return true;
        }
    }

    internal readonly struct StoreStep<T> : IStep
        where T : unmanaged, IBinaryInteger<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static bool Do(Vcpu vcpu, Operation* op)
        {
            if (!Target(vcpu, op, sizeof(T), MemoryAccess.Write, out ulong linear)
                || !vcpu.Mmu.TryWriteLinear(linear, SegmentRegister.Es, Operands.Get<T>(vcpu.State, 0)))
            {
                return false;
            }

            Advance(vcpu.State, op, Rdi, sizeof(T));
            return true;
        }
    }

    internal readonly struct LoadStep<T> : IStep
        where T : unmanaged, IBinaryInteger<T>
    {
        public static bool Do(Vcpu vcpu, Operation* op)
        {
            if (!Source(vcpu, op, out T value))
            {
                return false;
            }

            Operands.Set(vcpu.State, 0, value);
            Advance(vcpu.State, op, Rsi, sizeof(T));
            return true;
        }
    }

    internal readonly struct ScanStep<T> : IStep
        where T : unmanaged, IBinaryInteger<T>
    {
        public static bool Do(Vcpu vcpu, Operation* op)
        {
            if (!Target(vcpu, op, sizeof(T), MemoryAccess.Read, out ulong linear)
                || !vcpu.Mmu.TryReadLinear(linear, SegmentRegister.Es, out T right))
            {
                return false;
            }

            T left = Operands.Get<T>(vcpu.State, 0);
            ArithmeticFlags.SetSubtract(vcpu.State, left, right, left - right);
            Advance(vcpu.State, op, Rdi, sizeof(T));
            return true;
        }
    }

    internal readonly struct CompareStep<T> : IStep
        where T : unmanaged, IBinaryInteger<T>
    {
        public static bool Do(Vcpu vcpu, Operation* op)
        {
            // Hosts read the second operand first: it decides which of two page faults comes.
            if (!Target(vcpu, op, sizeof(T), MemoryAccess.Read, out ulong linear)
                || !vcpu.Mmu.TryReadLinear(linear, SegmentRegister.Es, out T right)
                || !Source(vcpu, op, out T left))
            {
                return false;
            }

            ArithmeticFlags.SetSubtract(vcpu.State, left, right, left - right);
            Advance(vcpu.State, op, Rsi, sizeof(T));
            Advance(vcpu.State, op, Rdi, sizeof(T));
            return true;
        }
    }
}
