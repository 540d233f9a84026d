namespace Hypervisor.Machine.Boot;

/// <summary>Where the loaders put what they hand to a kernel: the last 64 KiB below the EBDA.</summary>
/// <remarks>
/// <code>
/// 0x8F000  stack, grows down from 0x90000
/// 0x90000  boot_params / start info / multiboot info     4 KiB
/// 0x91000  GDT                                           4 KiB
/// 0x92000  PML4, PDPT, 4 page directories (2 MiB pages) 24 KiB
/// 0x98000  memory map, module list, strings             28 KiB
/// 0x9F000  end; EBDA at 0x9FC00
/// </code>
/// </remarks>
internal static class BootLayout
{
    /// <summary>First byte the loaders use.</summary>
    public const ulong Start = 0x8_F000;

    /// <summary>End of the stack.</summary>
    public const ulong StackTop = 0x9_0000;

    /// <summary>boot_params, start info or multiboot information.</summary>
    public const ulong Info = 0x9_0000;

    /// <summary>GDT in the layout that the Linux boot protocol asks for: 10h code, 18h data.</summary>
    public const ulong Gdt = 0x9_1000;

    /// <summary>Bytes of the GDT.</summary>
    public const ushort GdtBytes = 32;

    /// <summary>Code of the mode that the kernel starts in, __BOOT_CS.</summary>
    public const ushort BootCodeSelector = 0x10;

    /// <summary>Data, __BOOT_DS.</summary>
    public const ushort DataSelector = 0x18;

    /// <summary>The PML4 and the tables it points to.</summary>
    public const ulong PageTables = 0x9_2000;

    /// <summary>Memory map entries.</summary>
    public const ulong MemoryMap = 0x9_8000;

    /// <summary>Module list.</summary>
    public const ulong Modules = 0x9_9000;

    /// <summary>Command line.</summary>
    public const ulong Strings = 0x9_A000;

    /// <summary>End of the command line, its zero included.</summary>
    public const ulong StringsEnd = End - 0x10;

    /// <summary>End of what the loaders use.</summary>
    public const ulong End = 0x9_F000;

    /// <summary>Start of the extended BIOS data area, reserved in every memory map.</summary>
    public const ulong ExtendedBiosData = 0x9_FC00;

    /// <summary>First byte of the firmware's 128 KiB: ACPI and SMBIOS tables below F0000, code above.</summary>
    public const ulong Firmware = 0xE_0000;

    /// <summary>End of conventional and firmware memory.</summary>
    public const ulong OneMebibyte = 0x10_0000;
}
