using System;

namespace Hypervisor.Cpu.Instructions;

/// <summary>What block building, the translator and the differential test must know about an instruction.</summary>
[Flags]
internal enum InstructionTraits
{
    /// <summary>Call the semantic function; assume nothing.</summary>
    None = 0,

    /// <summary>Guest and host do the same: the encoding can be copied with registers renamed.</summary>
    CopyToHost = 1 << 0,

    /// <summary>Ends a block: control flow, or a change of mode, mapping or interrupt flag.</summary>
    EndsBlock = 1 << 1,

    /// <summary>LOCK is allowed when the destination is memory.</summary>
    Lockable = 1 << 2,

    /// <summary>Not for the bare host: privileged, or its result depends on the machine (CPUID, RDTSC …).</summary>
    System = 1 << 3,

    /// <summary>Reads or writes MXCSR.</summary>
    Float = 1 << 4,
}
