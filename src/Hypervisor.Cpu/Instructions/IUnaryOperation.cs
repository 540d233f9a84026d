using System.Numerics;
using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Instructions;

/// <summary>One operand in, one result and flags out.</summary>
internal unsafe interface IUnaryOperation
{
    /// <summary>Computes the result and sets the flags.</summary>
    static abstract T Apply<T>(CpuState* state, T value)
        where T : unmanaged, IBinaryInteger<T>;
}
