namespace Hypervisor.Cpu.State;

/// <summary>Bits of <see cref="Segment.Attributes"/>.</summary>
internal static class SegmentBits
{
    internal const uint TypeMask = 0xF;
    internal const uint Accessed = 1 << 0;

    /// <summary>Data: writable. Code: readable.</summary>
    internal const uint WritableOrReadable = 1 << 1;

    /// <summary>Data: expand-down. Code: conforming.</summary>
    internal const uint ExpandDownOrConforming = 1 << 2;
    internal const uint Code = 1 << 3;

    /// <summary>Code or data; clear for system segments and gates.</summary>
    internal const uint NotSystem = 1 << 4;
    internal const int DplShift = 5;
    internal const uint DplMask = 3 << DplShift;
    internal const uint Present = 1 << 7;
    internal const uint Long = 1 << 13;

    /// <summary>D (code), B (stack and expand-down data).</summary>
    internal const uint Big = 1 << 14;
    internal const uint Granularity = 1 << 15;

    /// <summary>Loaded with a null selector.</summary>
    internal const uint Unusable = 1 << 16;
}
