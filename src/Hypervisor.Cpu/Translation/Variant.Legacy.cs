using Hypervisor.Cpu.Paging;
using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Translation;

/// <content>Code of 16 and 32 bits.</content>
internal readonly partial record struct Variant
{
    /// <summary>Number of the first <see cref="Set"/> of code of 16 and 32 bits.</summary>
    internal const int LegacySets = TlbMode.User + 1;

    /// <summary>How many sets there are.</summary>
    internal const int SetCount = 2 * LegacySets;

    private const int ShapeShift = 8;
    private const uint ShapeMask = (PageShapes.CountMax - 1) << ShapeShift;
    private const uint LegacyBit = 1 << 12;
    private const uint FlatBit = 1 << 13;
    private const uint Code16Bit = 1 << 14;
    private const uint WideStackBit = 1 << 15;

    // Type, S and P: what a flat segment must have, and what it must not.
    private const uint DataMask = SegmentBits.Code | SegmentBits.ExpandDownOrConforming
        | SegmentBits.WritableOrReadable | SegmentBits.Present | SegmentBits.Unusable;

    private const uint FlatData = SegmentBits.WritableOrReadable | SegmentBits.Present;
    private const uint CodeMask = DataMask & ~SegmentBits.ExpandDownOrConforming;
    private const uint FlatCode = FlatData | SegmentBits.Code;

    /// <summary>Code of 16 or 32 bits.</summary>
    internal bool IsLegacy => (Bits & LegacyBit) != 0;

    /// <summary>
    /// Protected mode, code and stack of 32 bits; CS, DS, ES and SS begin at 0, end at 4 GiB and may be accessed.
    /// </summary>
    internal bool IsFlat => (Bits & FlatBit) != 0;

    /// <summary>Code of 16 bits.</summary>
    internal bool IsCode16 => (Bits & Code16Bit) != 0;

    /// <summary>Legacy code whose addresses and jumps need a look at the segments.</summary>
    internal bool IsSegmented => (Bits & (LegacyBit | FlatBit)) == LegacyBit;

    /// <summary>The stack pointer has 32 bits, otherwise 16.</summary>
    internal bool HasWideStack => (Bits & WideStackBit) != 0;

    /// <summary>0 in 16-bit, 1 in 32-bit, 2 in 64-bit code.</summary>
    internal uint CodeMode => !IsLegacy ? 2u : IsCode16 ? 0u : 1u;

    /// <summary>Number of the tables that its jumps are looked up in.</summary>
    internal int Set => Mode + (IsLegacy ? LegacySets : 0);

    /// <summary>How much of the page belongs to the code segment, see <see cref="PageShapes"/>.</summary>
    internal int Shape => (int)(Bits & ShapeMask) >> ShapeShift;

    /// <summary>The same, on a page of a shape.</summary>
    internal Variant OnPage(int shape) => new(Bits | ((uint)shape << ShapeShift));

    private static unsafe uint LegacyBits(CpuState* state)
    {
        uint bits = LegacyBit | (state->StackMask == uint.MaxValue ? WideStackBit : 0);
        if (state->CodeMode == 0)
        {
            return bits | Code16Bit;
        }

        bool isFlat = state->StackMask == uint.MaxValue
            && (state->Cr0 & Cr0.ProtectionEnable) != 0
            && IsFlatSegment(state->Segments[SegmentRegister.Cs], CodeMask, FlatCode)
            && IsFlatSegment(state->Segments[SegmentRegister.Ss], DataMask, FlatData)
            && IsFlatSegment(state->Segments[SegmentRegister.Ds], DataMask, FlatData)
            && IsFlatSegment(state->Segments[SegmentRegister.Es], DataMask, FlatData);
        return bits | (isFlat ? FlatBit : 0);
    }

    private static bool IsFlatSegment(in Segment segment, uint mask, uint wanted)
        => segment.Base == 0 && segment.Limit == uint.MaxValue && (segment.Attributes & mask) == wanted;
}
