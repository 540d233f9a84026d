using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Segmentation;

/// <summary>A descriptor as it lies in a GDT, LDT or IDT: 8 bytes, 16 for system ones in long mode.</summary>
/// <remarks>
/// Spec: SDM volume 3, 3.4.5 (segments), 5.8.3 (call gates), 6.11 and 6.14.1 (IDT gates).
/// <code>
///           63..56    55..52 51..48 47 46..45 44 43..40  39..32   31..16     15..0
/// segment   base      G D L A limit  P  DPL   S  type    base     base       limit
/// gate      offset 31..16            P  DPL   0  type    count/IST selector  offset
/// high half: bits 63..32 of base or offset, then 0
/// </code>
/// </remarks>
internal readonly struct Descriptor(ulong low, ulong high = 0)
{
    internal ulong Low => low;

    internal int Type => (int)(low >> 40) & 0xF;

    /// <summary>TSS, LDT or gate.</summary>
    internal bool IsSystem => (low & (1ul << 44)) == 0;

    internal uint Dpl => (uint)(low >> 45) & 3;

    internal bool IsPresent => (low & (1ul << 47)) != 0;

    internal bool IsCode => !IsSystem && (Type & 8) != 0;

    internal bool IsWritableData => !IsSystem && (Type & 0xA) == 2;

    /// <summary>Data, or code that may be read.</summary>
    internal bool IsReadable => !IsSystem && (Type & 0xA) != 8;

    internal bool IsConforming => (Type & 0xC) == 0xC;

    internal bool IsLong => (low & (1ul << 53)) != 0;

    /// <summary>D of a code segment, B of a stack.</summary>
    internal bool IsBig => (low & (1ul << 54)) != 0;

    internal ulong Base => ((low >> 16) & 0xFF_FFFF) | ((low >> 32) & 0xFF00_0000) | (high << 32);

    internal uint Limit
    {
        get
        {
            uint raw = (uint)(low & 0xFFFF) | ((uint)(low >> 32) & 0xF_0000);
            return (low & (1ul << 55)) != 0 ? (raw << 12) | 0xFFF : raw;
        }
    }

    internal ushort GateSelector => (ushort)(low >> 16);

    internal ulong GateOffset => (low & 0xFFFF) | ((low >> 32) & 0xFFFF_0000) | (high << 32);

    /// <summary>Call gate: how many words or doublewords move to the inner stack.</summary>
    internal int GateCount => (int)(low >> 32) & 0x1F;

    /// <summary>IDT gate in long mode: 1 to 7 picks a stack of the TSS.</summary>
    internal int StackTableIndex => (int)(low >> 32) & 7;

    /// <summary>The hidden part that loading this segment gives.</summary>
    internal Segment ToSegment(ushort selector) => new()
    {
        Selector = selector,
        Base = Base,
        Limit = Limit,
        Attributes = ((uint)(low >> 40) & 0xF0FF) | (IsSystem ? 0 : SegmentBits.Accessed),
    };
}
