namespace Hypervisor.Machine.Boot;

/// <summary>
/// How vCPU 0 starts. Everything it needs in RAM is written already; registers not named here are 0, RFLAGS is 2.
/// </summary>
public sealed record BootPlan
{
    private const ulong Cr0Protected = 0x0000_0011;  // PE, ET
    private const ulong Cr0Long = 0x8000_0033;       // PG, NE, ET, MP, PE
    private const ulong Cr0Reset = 0x6000_0010;      // CD, NW, ET: SDM volume 3, table 10-1
    private const ulong Cr4PhysicalAddressExtension = 0x20;
    private const ulong EferLongMode = 0x500;        // LME, LMA

    /// <summary>The mode that the control registers and segments below add up to.</summary>
    public required BootMode Mode { get; init; }

    /// <summary>Offset of the first instruction in <see cref="Cs"/>.</summary>
    public required ulong Rip { get; init; }

    /// <summary>Stack pointer.</summary>
    public ulong Rsp { get; init; }

    /// <summary>Multiboot's magic number.</summary>
    public ulong Rax { get; init; }

    /// <summary>GPA of the boot information (multiboot, PVH).</summary>
    public ulong Rbx { get; init; }

    /// <summary>CPU signature at reset.</summary>
    public ulong Rdx { get; init; }

    /// <summary>GPA of Linux's boot_params.</summary>
    public ulong Rsi { get; init; }

    /// <summary>CR0.</summary>
    public required ulong Cr0 { get; init; }

    /// <summary>CR3.</summary>
    public ulong Cr3 { get; init; }

    /// <summary>CR4.</summary>
    public ulong Cr4 { get; init; }

    /// <summary>The EFER MSR.</summary>
    public ulong Efer { get; init; }

    /// <summary>GDTR.</summary>
    public BootTable Gdt { get; init; }

    /// <summary>IDTR.</summary>
    public BootTable Idt { get; init; }

    /// <summary>Code segment.</summary>
    public required BootSegment Cs { get; init; }

    /// <summary>DS, ES, FS, GS and SS.</summary>
    public required BootSegment Data { get; init; }

    /// <summary>Task register.</summary>
    public required BootSegment Tr { get; init; }

    /// <summary>LDT register.</summary>
    public BootSegment Ldtr { get; init; } = BootSegment.NoLocalTable;

    /// <summary>Power-on state: real mode at F000:FFF0 with the CS base in low memory, where our firmware is.</summary>
    public static BootPlan Reset() => new()
    {
        Mode = BootMode.Real,
        Rip = 0xFFF0,
        Cr0 = Cr0Reset,
        Idt = new BootTable(0, 0xFFFF),
        Gdt = new BootTable(0, 0xFFFF),
        Cs = BootSegment.Real(0xF000) with { Attributes = 0x009B },
        Data = BootSegment.Real(0),
        Tr = new BootSegment(0, 0, 0xFFFF, 0x008B),
    };

    /// <summary>Flat 32-bit protected mode without paging at <paramref name="entry"/>.</summary>
    internal static BootPlan Flat32(uint entry) => new()
    {
        Mode = BootMode.Protected,
        Rip = entry,
        Rsp = BootLayout.StackTop,
        Cr0 = Cr0Protected,
        Gdt = new BootTable(BootLayout.Gdt, BootLayout.GdtBytes - 1),
        Cs = BootSegment.Code32(BootLayout.BootCodeSelector),
        Data = BootSegment.Data32(BootLayout.DataSelector),
        Tr = BootSegment.Task32(0),
    };

    /// <summary>64-bit mode on the identity map at <paramref name="entry"/>.</summary>
    internal static BootPlan Flat64(ulong entry) => new()
    {
        Mode = BootMode.Long,
        Rip = entry,
        Rsp = BootLayout.StackTop,
        Cr0 = Cr0Long,
        Cr3 = BootLayout.PageTables,
        Cr4 = Cr4PhysicalAddressExtension,
        Efer = EferLongMode,
        Gdt = new BootTable(BootLayout.Gdt, BootLayout.GdtBytes - 1),
        Cs = BootSegment.Code64(BootLayout.BootCodeSelector),
        Data = BootSegment.Data32(BootLayout.DataSelector),
        Tr = BootSegment.Task32(0),
    };
}
