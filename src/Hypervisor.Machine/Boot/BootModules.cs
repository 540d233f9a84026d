using System.Collections.Generic;
using Hypervisor.Core.Memory;

namespace Hypervisor.Machine.Boot;

/// <summary>Files that go to RAM behind a PVH or multiboot kernel, each on a page of its own.</summary>
internal static class BootModules
{
    private const int CountMax = 64;

    /// <summary>Loads the files from the first page after <paramref name="kernelEnd"/> on; returns where each one is.</summary>
    /// <exception cref="BootException">Too many, or RAM is too small.</exception>
    public static List<MemoryRange> Load(BootRam ram, IReadOnlyList<BootFile> modules, ulong kernelEnd)
    {
        if (modules.Count > CountMax)
        {
            throw new BootException($"modules: {modules.Count} given, allowed are {CountMax}");
        }

        List<MemoryRange> loaded = [];
        ulong next = kernelEnd;
        foreach (BootFile module in modules)
        {
            ulong start = (next + PageKernels.PageBytes - 1) & ~(PageKernels.PageBytes - 1UL);
            ulong lengthBytes = (ulong)module.LengthBytes;
            if (start >= ram.LowEnd || lengthBytes > ram.LowEnd - start)
            {
                throw module.Refused(
                    $"{lengthBytes} bytes do not fit between 0x{start:X} and the end of low RAM at 0x{ram.LowEnd:X}");
            }

            ram.Load(module, 0, start, lengthBytes);
            loaded.Add(new MemoryRange(start, lengthBytes, MemoryKind.Usable));
            next = start + lengthBytes;
        }

        return loaded;
    }
}
