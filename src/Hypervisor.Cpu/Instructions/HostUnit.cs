namespace Hypervisor.Cpu.Instructions;

/// <summary>Which unit an instruction belongs to: what must be enabled before it runs.</summary>
internal enum HostUnit : byte
{
    /// <summary>General registers: nothing to enable.</summary>
    Integer,

    /// <summary>General registers, VEX-encoded: protected mode.</summary>
    IntegerVex,

    /// <summary>XMM registers, legacy encoding.</summary>
    Sse,

    /// <summary>MMX registers.</summary>
    Mmx,

    /// <summary>MMX and XMM registers.</summary>
    MmxSse,

    /// <summary>XMM and YMM registers, VEX-encoded.</summary>
    Avx,

    /// <summary>ZMM and mask registers: EVEX, and VEX encodings of mask registers.</summary>
    Avx512,
}
