namespace Hypervisor.Cpu.Interrupts;

/// <summary>An exception or interrupt on its way through the IDT.</summary>
internal struct InterruptEvent
{
    internal byte Vector;

    /// <summary>Whether <see cref="ErrorCode"/> is pushed.</summary>
    internal bool HasErrorCode;

    internal uint ErrorCode;

    /// <summary>A fault or trap found by the CPU: counts for double faults.</summary>
    internal bool IsException;

    /// <summary>INT n, INT3, INTO: the gate's DPL is checked.</summary>
    internal bool IsSoftware;

    /// <summary>Interrupt pin, APIC or NMI; or INT1.</summary>
    internal bool IsExternal;

    /// <summary>RF of the pushed flags: the instruction at RIP was begun already.</summary>
    internal bool SetsResume;
}
