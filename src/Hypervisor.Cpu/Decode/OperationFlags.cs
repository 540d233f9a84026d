using System;

namespace Hypervisor.Cpu.Decode;

/// <summary>What of an instruction's prefixes and form its semantic function may need.</summary>
[Flags]
internal enum OperationFlags : byte
{
    /// <summary>Nothing special.</summary>
    None = 0,

    /// <summary>LOCK prefix (or an implied lock: XCHG with memory).</summary>
    Lock = 1 << 0,

    /// <summary>F3 as a repeat prefix.</summary>
    Rep = 1 << 1,

    /// <summary>F2 as a repeat prefix.</summary>
    Repne = 1 << 2,

    /// <summary>The operand that may be memory is memory.</summary>
    Memory = 1 << 3,
}
