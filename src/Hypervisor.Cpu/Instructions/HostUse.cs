using System;

namespace Hypervisor.Cpu.Instructions;

/// <summary>What running an instruction as the host must take care of; kept in Operation.Source.</summary>
[Flags]
internal enum HostUse : byte
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Reads or writes arithmetic flags.</summary>
    Flags = 1 << 0,

    /// <summary>The memory operand must be aligned to its size.</summary>
    Aligned = 1 << 1,

    /// <summary>x87: keeps the pointers to the last instruction and operand.</summary>
    Pointers = 1 << 2,

    /// <summary>Under a mask: computes in floating point.</summary>
    Float = 1 << 3,

    /// <summary>Under a mask: what it does not store stays in memory.</summary>
    Keep = 1 << 4,

    /// <summary>
    /// May give a tiny result without underflow: it is flushed to zero only while underflow is masked. Whatever else
    /// gives one raises the exception.
    /// </summary>
    TinyUnmasked = 1 << 5,
}
