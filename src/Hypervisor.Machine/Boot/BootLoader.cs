using System.Collections.Generic;
using Hypervisor.Core.Memory;
using Hypervisor.Machine.Boot.Acpi;

namespace Hypervisor.Machine.Boot;

/// <summary>Fills a new machine's RAM and says how vCPU 0 starts. The kind of kernel is told by its content.</summary>
public static class BootLoader
{
    private const int HeadBytes = 8192; // a multiboot header is within the first 8 KiB
    private const int CpuCountMax = 255; // APIC IDs of the MADT's 8-bit local APIC entries

    /// <summary>Loads what <paramref name="request"/> names into <paramref name="ram"/>, with tables and memory map.</summary>
    /// <exception cref="BootException">It can't be started; the message is for the user.</exception>
    public static BootPlan Load(GuestRam ram, BootRequest request)
    {
        if (request.CpuCount is < 1 or > CpuCountMax)
        {
            throw new BootException($"{request.CpuCount} vCPUs, allowed are 1 to {CpuCountMax}");
        }

        var bootRam = new BootRam(ram);
        ulong rsdpGpa = AcpiTables.Write(bootRam, request.CpuCount);
        return request.Kernel is null
            ? DiskBoot.Load(bootRam)
            : LoadKernel(bootRam, request, request.Kernel, rsdpGpa);
    }

    private static BootPlan LoadKernel(BootRam ram, BootRequest request, BootFile kernel, ulong rsdpGpa)
    {
        IReadOnlyList<MemoryRange> map = MemoryMap.Of(ram.Ram);
        byte[] head = kernel.Head(HeadBytes);
        if (LinuxBzImage.IsMatch(head))
        {
            return LinuxBzImage.Load(ram, kernel, request.Initrd, request.CommandLine, rsdpGpa, map);
        }

        List<BootFile> modules = [];
        if (request.Initrd is not null)
        {
            modules.Add(request.Initrd);
        }

        modules.AddRange(request.Modules);
        if (MultibootKernel.TryFindHeader(head, out int headerOffset))
        {
            return MultibootKernel.Load(ram, kernel, head, headerOffset, modules, request.CommandLine, map);
        }

        if (ElfImage.IsMatch(head))
        {
            var elf = ElfImage.Parse(kernel);
            return PvhElf.Load(ram, kernel, elf, modules, request.CommandLine, rsdpGpa, map);
        }

        throw kernel.Refused("no bzImage, PVH ELF or multiboot image");
    }
}
