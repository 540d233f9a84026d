using System.Runtime.InteropServices;

namespace Hypervisor.Cpu.State;

/// <summary>A segment register with its hidden part. Spec: SDM volume 3, 3.4.3.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Segment
{
    /// <summary>Linear address of offset 0.</summary>
    public ulong Base;

    /// <summary>Highest offset, in bytes: granularity is already applied.</summary>
    public uint Limit;

    /// <summary>
    /// Descriptor bits 40-47 and 52-55 in VMX layout: type 0-3, S 4, DPL 5-6, P 7, AVL 12, L 13, D/B 14, G 15, and
    /// <see cref="SegmentBits.Unusable"/> 16. Spec: SDM volume 3, 25.4.1 table 25-2.
    /// </summary>
    public uint Attributes;

    /// <summary>Visible part.</summary>
    public ushort Selector;
}
