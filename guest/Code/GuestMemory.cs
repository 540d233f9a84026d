namespace Hypervisor.Guest.Code;

/// <summary>Where an embedded guest keeps what in its RAM. Identity-mapped.</summary>
/// <remarks>
/// <code>
/// 0x100000  32-bit entry, then 64-bit code
/// 0x1C0000  variables
/// 0x1D0000  per disk: 8 KiB (queue, request headers, record)
/// 0x1F0000  IDT
/// 0x200000  page tables: PML4, PDPT, 4 directories
/// 0x210000  end of the stack
/// 0x400000  pages that the counting guest dirties
/// </code>
/// </remarks>
internal static class GuestMemory
{
    /// <summary>Load address and 32-bit entry.</summary>
    public const uint Entry = 0x10_0000;

    /// <summary>First 64-bit instruction.</summary>
    public const uint LongEntry = 0x10_0100;

    /// <summary>GPA of PVH's start_info.</summary>
    public const uint StartInfo = 0x1C_0000;

    /// <summary>Steps to run, 0 for ever.</summary>
    public const uint Steps = 0x1C_0008;

    /// <summary>The step that runs.</summary>
    public const uint Step = 0x1C_0010;

    /// <summary>Pages dirtied per step.</summary>
    public const uint DirtyPages = 0x1C_0018;

    /// <summary>Pages in the dirtied area.</summary>
    public const uint AreaPages = 0x1C_0020;

    /// <summary>Pages written since the start: the value of the next page's pattern.</summary>
    public const uint PagesWritten = 0x1C_0028;

    /// <summary>Microseconds to rest after each step.</summary>
    public const uint PaceMicros = 0x1C_0030;

    /// <summary>APIC timer ticks in 10 ms.</summary>
    public const uint TimerTicks = 0x1C_0038;

    /// <summary>Set by the timer's interrupt.</summary>
    public const uint TimerFired = 0x1C_0040;

    /// <summary>Disks found.</summary>
    public const uint DiskCount = 0x1C_0048;

    /// <summary>How to end: the first letter of end=.</summary>
    public const uint EndMode = 0x1C_0050;

    /// <summary>Record slots used on each disk.</summary>
    public const uint Slots = 0x1C_0058;

    /// <summary>Records written to disks, not only counted.</summary>
    public const uint DisksOn = 0x1C_0060;

    /// <summary>First disk's block.</summary>
    public const uint Disks = 0x1D_0000;

    /// <summary>Bytes per disk.</summary>
    public const uint DiskBytes = 0x2000;

    /// <summary>Disks supported.</summary>
    public const int DisksMax = 8;

    /// <summary>Interrupt descriptor table.</summary>
    public const uint Idt = 0x1F_0000;

    /// <summary>PML4 and below.</summary>
    public const uint PageTables = 0x20_0000;

    /// <summary>End of the stack.</summary>
    public const uint StackTop = 0x21_0000;

    /// <summary>First dirtied page.</summary>
    public const uint Area = 0x40_0000;

    /// <summary>Bytes from <see cref="Entry"/> that the ELF file asks for.</summary>
    public const uint ImageBytes = StackTop - Entry;
}
