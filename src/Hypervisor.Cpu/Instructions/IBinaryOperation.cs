using System.Numerics;
using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Instructions;

/// <summary>
/// Two operands in, one result and flags out; a type per instruction, so that each form compiles to its own code.
/// </summary>
internal unsafe interface IBinaryOperation
{
    /// <summary>Whether the result goes back to the first operand (CMP and TEST: no).</summary>
    static abstract bool WritesResult { get; }

    /// <summary>Computes the result and sets the flags.</summary>
    static abstract T Apply<T>(CpuState* state, T left, T right)
        where T : unmanaged, IBinaryInteger<T>;
}
