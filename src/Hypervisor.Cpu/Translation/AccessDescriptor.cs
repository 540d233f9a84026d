namespace Hypervisor.Cpu.Translation;

/// <summary>What generated code says about an access that its TLB check did not grant: one 32-bit number.</summary>
/// <param name="Bits">Offset of the instruction in its page, size in bytes, segment, alignment, direction.</param>
internal readonly record struct AccessDescriptor(uint Bits)
{
    private const int SizeShift = 12;
    private const int SegmentShift = 20;
    private const int AlignmentShift = 24;
    private const uint SharedBit = 1u << 30;

    /// <summary>Bit of a store.</summary>
    internal const uint WriteBit = 1u << 31;

    /// <summary>Bits of the size.</summary>
    internal const uint SizeBits = 0xFFu << SizeShift;

    /// <summary>Bits of the alignment.</summary>
    internal const uint AlignmentBits = 0x3Fu << AlignmentShift;

    internal int InstructionOffset => (int)(Bits & 0xFFF);

    internal int SizeBytes => (int)(Bits >> SizeShift) & 0xFF;

    /// <summary>Only chooses between #GP and #SS.</summary>
    internal int Segment => (int)(Bits >> SegmentShift) & 0xF;

    /// <summary>Bits of the address that must be 0.</summary>
    internal ulong AlignmentMask => (Bits >> AlignmentShift) & 0x3F;

    /// <summary>Whether later accesses to the page rely on this one: all of the page must be granted.</summary>
    internal bool IsShared => (Bits & SharedBit) != 0;

    /// <summary>The same, with <see cref="IsShared"/>.</summary>
    internal AccessDescriptor Shared => new(Bits | SharedBit);

    internal bool IsWrite => (Bits & WriteBit) != 0;

    internal static AccessDescriptor Of(int offset, int sizeBytes, int segment, int alignmentMask, bool isWrite)
        => new((uint)offset | ((uint)sizeBytes << SizeShift) | ((uint)segment << SegmentShift)
            | ((uint)alignmentMask << AlignmentShift) | (isWrite ? WriteBit : 0));
}
