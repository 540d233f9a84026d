using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Segmentation;

/// <summary>
/// What a control transfer changes before it is sure to succeed. Taken first, put back when a check or a push faults,
/// so
/// that the transfer itself may work on the live registers.
/// </summary>
internal struct TransferSnapshot
{
    internal SegmentArray Segments;
    internal ulong StackPointer;
    internal ulong Rip;
    internal ulong Rflags;
    internal uint Cpl;
}
