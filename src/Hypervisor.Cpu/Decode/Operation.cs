using System.Runtime.InteropServices;
using Iced.Intel;

namespace Hypervisor.Cpu.Decode;

/// <summary>A decoded instruction, ready to run: what the interpreter reads instead of the guest's bytes.</summary>
/// <remarks>
/// Registers are named by their byte offset in <see cref="State.CpuState"/>, so that AH..BH, an absent base (the Zero
/// slot) and RIP need no special case.
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Operation
{
    /// <summary>The semantic function.</summary>
    internal delegate*<Vcpu, Operation*, Outcome> Execute;

    /// <summary>Displacement of the memory operand.</summary>
    internal long Displacement;

    /// <summary>
    /// Immediate, sign-extended as the instruction says; or a branch target; or what the function put there.
    /// </summary>
    internal ulong Immediate;

    /// <summary>Length in bytes, 1 to 15; 0 only in the marker that ends a stale block.</summary>
    internal byte Length;

    /// <summary>First register operand: byte offset in CpuState.</summary>
    internal byte Destination;

    /// <summary>Second register operand: byte offset in CpuState.</summary>
    internal byte Source;

    /// <summary>
    /// Base register of the memory operand: byte offset in CpuState (Zero slot if none, Rip if relative).
    /// </summary>
    internal byte Base;

    /// <summary>Index register of the memory operand: byte offset in CpuState (Zero slot if none).</summary>
    internal byte Index;

    /// <summary>Shift of the index, 0 to 3.</summary>
    internal byte ScaleShift;

    /// <summary>How to form the linear address.</summary>
    internal AddressKind AddressKind;

    /// <summary>Segment of the memory operand: index into CpuState.Segments.</summary>
    internal byte Segment;

    /// <summary>Address size in bytes: 2, 4 or 8.</summary>
    internal byte AddressBytes;

    /// <summary>Operand size in bytes as the prefixes and mode say: 1, 2, 4 or 8.</summary>
    internal byte OperandBytes;

    /// <summary>Prefixes and form.</summary>
    internal OperationFlags Flags;

    /// <summary>Free for the semantic function: condition code, register number, small index.</summary>
    internal byte Extra;

    /// <summary>Iced's name of the encoding.</summary>
    internal ushort CodeNumber;

    internal readonly Code Code => (Code)CodeNumber;

    internal readonly bool HasMemory => (Flags & OperationFlags.Memory) != 0;
}
