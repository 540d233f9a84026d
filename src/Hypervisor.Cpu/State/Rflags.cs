namespace Hypervisor.Cpu.State;

/// <summary>Bits of RFLAGS. Spec: SDM volume 1, 3.4.3.</summary>
internal static class Rflags
{
    internal const ulong Carry = 1 << 0;
    internal const ulong AlwaysOne = 1 << 1;
    internal const ulong Parity = 1 << 2;
    internal const ulong Adjust = 1 << 4;
    internal const ulong Zero = 1 << 6;
    internal const ulong Sign = 1 << 7;
    internal const ulong Trap = 1 << 8;
    internal const ulong Interrupt = 1 << 9;
    internal const ulong Direction = 1 << 10;
    internal const ulong Overflow = 1 << 11;
    internal const ulong IoPrivilege = 3 << 12;
    internal const ulong NestedTask = 1 << 14;
    internal const ulong Resume = 1 << 16;
    internal const ulong Virtual8086 = 1 << 17;
    internal const ulong AlignmentCheck = 1 << 18;
    internal const ulong VirtualInterrupt = 1 << 19;
    internal const ulong VirtualInterruptPending = 1 << 20;
    internal const ulong Identification = 1 << 21;

    internal const int IoPrivilegeShift = 12;

    /// <summary>The six flags that arithmetic instructions set.</summary>
    internal const ulong Arithmetic = Carry | Parity | Adjust | Zero | Sign | Overflow;

    /// <summary>Bits that exist; the others read as 0 (bit 1 as 1).</summary>
    internal const ulong Defined = Arithmetic | Trap | Interrupt | Direction | IoPrivilege | NestedTask | Resume
        | Virtual8086 | AlignmentCheck | VirtualInterrupt | VirtualInterruptPending | Identification;
}
