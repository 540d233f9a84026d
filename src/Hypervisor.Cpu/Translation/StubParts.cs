using System;

namespace Hypervisor.Cpu.Translation;

/// <summary>Which guest state besides its operands a stub puts into the host's registers.</summary>
[Flags]
internal enum StubParts : byte
{
    /// <summary>Operands only.</summary>
    None = 0,

    /// <summary>MXCSR: the instruction computes in floating point.</summary>
    Mxcsr = 1 << 0,

    /// <summary>The x87 image: x87 and MMX instructions.</summary>
    Fpu = 1 << 1,

    /// <summary>The arithmetic flags, in and out.</summary>
    Flags = 1 << 2,
}
