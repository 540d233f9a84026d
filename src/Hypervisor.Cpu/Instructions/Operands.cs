using System.Numerics;
using System.Runtime.CompilerServices;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>Register operands of an <see cref="Operation"/>, and their sizes while lowering.</summary>
internal static unsafe class Operands
{
    /// <summary>The register at byte offset <paramref name="slot"/> of the state.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static T Get<T>(CpuState* state, byte slot)
        where T : unmanaged
        => *(T*)((byte*)state + slot);

    /// <summary>Sets a register. A 32-bit write clears the upper half (SDM volume 1, 3.4.1.1).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Set<T>(CpuState* state, byte slot, T value)
        where T : unmanaged, IBinaryInteger<T>
    {
        if (sizeof(T) == sizeof(uint))
        {
            *(ulong*)((byte*)state + slot) = ulong.CreateTruncating(value);
        }
        else
        {
            *(T*)((byte*)state + slot) = value;
        }
    }

    /// <summary>Size in bytes of operand <paramref name="index"/>: a general register or memory.</summary>
    internal static int SizeOf(in Instruction instruction, int index)
        => instruction.GetOpKind(index) == OpKind.Register
            ? instruction.GetOpRegister(index).GetSize()
            : instruction.MemorySize.GetSize();

    /// <summary>Picks the function of the operand's width.</summary>
    internal static delegate*<Vcpu, Operation*, Outcome> BySize(
        int sizeBytes,
        delegate*<Vcpu, Operation*, Outcome> one,
        delegate*<Vcpu, Operation*, Outcome> two,
        delegate*<Vcpu, Operation*, Outcome> four,
        delegate*<Vcpu, Operation*, Outcome> eight)
        => sizeBytes switch { 1 => one, 2 => two, 4 => four, 8 => eight, _ => null };
}
