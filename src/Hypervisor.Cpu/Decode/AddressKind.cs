namespace Hypervisor.Cpu.Decode;

/// <summary>How the linear address of a memory operand comes about; chosen when the instruction is decoded.</summary>
internal enum AddressKind : byte
{
    /// <summary>64-bit mode without FS or GS: base + index * scale + displacement, nothing else.</summary>
    Flat64 = 0,

    /// <summary>64-bit mode: truncated to 32 bits if asked, plus the base of FS or GS. No limit check.</summary>
    Segment64 = 1,

    /// <summary>16- and 32-bit code: truncated, checked against the segment, plus its base.</summary>
    Legacy = 2,
}
