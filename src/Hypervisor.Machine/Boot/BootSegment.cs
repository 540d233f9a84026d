namespace Hypervisor.Machine.Boot;

/// <summary>A segment register with its hidden part.</summary>
/// <remarks>
/// Attributes are bits 40 to 55 of a descriptor, the limit's bits as zero (the access rights of SDM volume 3, 25.4.1):
/// <code>
/// 15 14  13 12  11..8  7   6..5  4  3..0
/// G  D/B L  AVL 0      P   DPL   S  type
/// </code>
/// </remarks>
/// <param name="Selector">The visible part.</param>
/// <param name="Base">Linear address of the segment's first byte.</param>
/// <param name="Limit">Offset of the segment's last byte, in bytes whatever G says.</param>
/// <param name="Attributes">Access rights; see the remarks.</param>
public readonly record struct BootSegment(ushort Selector, ulong Base, uint Limit, ushort Attributes)
{
    /// <summary>A flat 64-bit code segment (type 0xB: execute, read, accessed).</summary>
    public static BootSegment Code64(ushort selector) => new(selector, 0, uint.MaxValue, 0xA09B);

    /// <summary>A flat 32-bit code segment.</summary>
    public static BootSegment Code32(ushort selector) => new(selector, 0, uint.MaxValue, 0xC09B);

    /// <summary>A flat data segment (type 3: read, write, accessed).</summary>
    public static BootSegment Data32(ushort selector) => new(selector, 0, uint.MaxValue, 0xC093);

    /// <summary>A real-mode segment: base = selector × 16, 64 KiB.</summary>
    public static BootSegment Real(ushort selector) => new(selector, (ulong)selector << 4, 0xFFFF, 0x0093);

    /// <summary>A busy 32-bit task state segment; the CPU wants a usable TR in protected mode.</summary>
    public static BootSegment Task32(ushort selector) => new(selector, 0, 0x67, 0x008B);

    /// <summary>An unused LDT.</summary>
    public static BootSegment NoLocalTable => new(0, 0, 0xFFFF, 0x0082);
}
