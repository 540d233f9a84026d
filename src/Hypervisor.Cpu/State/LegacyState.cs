using System.Runtime.InteropServices;

namespace Hypervisor.Cpu.State;

/// <summary>What generated code of 16 and 32 bits needs besides: derived from the segment registers.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct LegacyState
{
    /// <summary>How many segment registers an operand can name.</summary>
    internal const int SegmentCount = 6;

    // An access may wrap around the end of a segment of 4 GiB, as it does on hardware.
    private const ulong WrappingBytes = 1ul << 33;

    /// <summary>
    /// For each segment, minus the number of bytes that may be read, counted from its base: an access from offset to
    /// offset + size is inside if offset + size - 1 + this is negative.
    /// </summary>
    internal fixed ulong ReadLimits[SegmentCount];

    /// <summary>As <see cref="ReadLimits"/>, for stores.</summary>
    internal fixed ulong WriteLimits[SegmentCount];

    /// <summary>See EngineState.JumpEpochs.</summary>
    internal fixed ulong JumpEpochs[EngineState.JumpEpochCount];

    /// <summary>The base of CS in the upper half: what is above a linear address in CodeBase.</summary>
    internal ulong CodeKey;

    /// <summary>Minus the base of CS.</summary>
    internal ulong MinusCodeBase;

    /// <summary>An instruction pointer that is about to be pushed.</summary>
    internal ulong SavedPointer;

    /// <summary>Bit 63, for PEXT.</summary>
    internal ulong SignBit;

    /// <summary>Bits 32 to 63, for PEXT.</summary>
    internal ulong HighHalf;

    /// <summary>
    /// Recomputes what follows from a segment register. What is not a plain segment of data or code that may be
    /// accessed gets no bytes: the interpreter looks closer.
    /// </summary>
    internal void SetSegment(int number, in Segment segment)
    {
        const uint Readable = SegmentBits.WritableOrReadable;
        uint attributes = segment.Attributes;
        ulong bytes = segment.Limit == uint.MaxValue ? WrappingBytes : segment.Limit + 1ul;
        bool isCode = (attributes & SegmentBits.Code) != 0;
        bool isPresent = (attributes & (SegmentBits.Present | SegmentBits.Unusable)) == SegmentBits.Present;
        bool isPlain = isPresent && (isCode || (attributes & SegmentBits.ExpandDownOrConforming) == 0);
        bool hasBit = (attributes & Readable) != 0;
        ReadLimits[number] = isPlain && (!isCode || hasBit) ? 0 - bytes : 0;
        WriteLimits[number] = isPlain && !isCode && hasBit ? 0 - bytes : 0;
    }
}
