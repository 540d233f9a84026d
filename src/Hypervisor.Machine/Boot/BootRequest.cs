using System.Collections.Generic;

namespace Hypervisor.Machine.Boot;

/// <summary>What to boot. Without a kernel the firmware boots from the first drive.</summary>
public sealed record BootRequest
{
    /// <summary>bzImage, PVH ELF or multiboot image; null boots from disk.</summary>
    public BootFile? Kernel { get; init; }

    /// <summary>Initial RAM disk; the first module of a PVH or multiboot kernel.</summary>
    public BootFile? Initrd { get; init; }

    /// <summary>Further modules of a PVH or multiboot kernel.</summary>
    public IReadOnlyList<BootFile> Modules { get; init; } = [];

    /// <summary>The kernel's command line.</summary>
    public string CommandLine { get; init; } = "";

    /// <summary>Number of vCPUs, for the ACPI tables.</summary>
    public int CpuCount { get; init; } = 1;
}
