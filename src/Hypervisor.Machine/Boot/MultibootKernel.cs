using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Hypervisor.Core.Memory;

namespace Hypervisor.Machine.Boot;

/// <summary>Loads a multiboot 1 kernel: ELF, or a flat image whose header holds its addresses (the a.out kludge).</summary>
/// <remarks>
/// Spec: Multiboot Specification 0.6.96. Header within the first 8 KiB, at a multiple of four:
/// <code>
/// 00 magic 1BADB002 | 04 flags | 08 checksum | flags bit 16: 0C header_addr | 10 load_addr | 14 load_end | 18 bss_end | 1C entry
/// </code>
/// Information: 00 flags | 04 mem_lower | 08 mem_upper | 10 cmdline | 14 mods_count | 18 mods_addr | 2C mmap_length |
/// 30 mmap_addr | 40 boot_loader_name. A module: start, end, string, 0. A map entry: size, base u64, length u64, type.
/// </remarks>
internal static class MultibootKernel
{
    private const uint HeaderMagic = 0x1BAD_B002;
    private const uint BootMagic = 0x2BAD_B002;
    private const uint AddressesInHeader = 1 << 16;
    private const uint MandatoryFlags = 0xFFFF;
    private const uint KnownFlags = 0x7; // page-aligned modules, memory information, video mode (text is what we have)
    private const int ModuleBytes = 16;
    private const int MapEntryBytes = 24;
    private const ulong LoaderName = BootLayout.StringsEnd;

    /// <summary>Finds the header in the file's first bytes.</summary>
    public static bool TryFindHeader(ReadOnlySpan<byte> head, out int offset)
    {
        for (offset = 0; offset + 12 <= head.Length; offset += 4)
        {
            uint sum = unchecked(U32(head, offset) + U32(head, offset + 4) + U32(head, offset + 8));
            if (U32(head, offset) == HeaderMagic && sum == 0)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Loads kernel, modules and information.</summary>
    /// <exception cref="BootException">The file is hostile, or RAM is too small.</exception>
    public static BootPlan Load(
        BootRam ram,
        BootFile kernel,
        ReadOnlySpan<byte> head,
        int headerOffset,
        IReadOnlyList<BootFile> modules,
        string commandLine,
        IReadOnlyList<MemoryRange> map)
    {
        uint flags = U32(head, headerOffset + 4);
        if ((flags & MandatoryFlags & ~KnownFlags) != 0)
        {
            throw kernel.Refused($"multiboot flags 0x{flags:X} ask for what is unknown, allowed are bits 0 to 2 and 16");
        }

        (uint entry, ulong end) = (flags & AddressesInHeader) != 0
            ? LoadFlat(ram, kernel, head, headerOffset)
            : LoadElf(ram, kernel);
        List<MemoryRange> loaded = BootModules.Load(ram, modules, end);
        PvhElf.WriteCommandLine(ram, kernel, commandLine);
        WriteInformation(ram, loaded, map);
        ram.WriteFlatTables(isLong: false);
        return BootPlan.Flat32(entry) with { Rax = BootMagic, Rbx = BootLayout.Info };
    }

    private static (uint Entry, ulong End) LoadFlat(BootRam ram, BootFile kernel, ReadOnlySpan<byte> head, int offset)
    {
        if (offset + 32 > head.Length)
        {
            throw kernel.Refused("truncated multiboot header");
        }

        uint headerAddress = U32(head, offset + 0x0C);
        uint loadAddress = U32(head, offset + 0x10);
        uint loadEnd = U32(head, offset + 0x14);
        uint bssEnd = U32(head, offset + 0x18);
        uint skip = unchecked(headerAddress - loadAddress); // bytes of the image before its header
        if (loadAddress > headerAddress || skip > (uint)offset)
        {
            throw kernel.Refused($"multiboot load address 0x{loadAddress:X} does not fit header address 0x{headerAddress:X}");
        }

        long fileOffset = offset - skip;
        ulong loadBytes = loadEnd == 0 ? (ulong)(kernel.LengthBytes - fileOffset) : (ulong)loadEnd - loadAddress;
        if (loadEnd != 0 && loadEnd < loadAddress)
        {
            throw kernel.Refused($"multiboot load end 0x{loadEnd:X} is below load address 0x{loadAddress:X}");
        }

        ulong end = loadAddress + loadBytes;
        ulong memoryEnd = Math.Max(end, bssEnd);
        if (loadAddress < BootLayout.OneMebibyte && memoryEnd > BootLayout.Start)
        {
            throw kernel.Refused(
                $"0x{loadAddress:X}-0x{memoryEnd - 1:X} overlaps boot data and firmware at 0x{BootLayout.Start:X}-0xFFFFF");
        }

        ram.Load(kernel, fileOffset, loadAddress, loadBytes);
        ram.Clear(end, memoryEnd - end, $"{kernel.Role} {kernel.Name}");
        return (U32(head, offset + 0x1C), memoryEnd);
    }

    private static (uint Entry, ulong End) LoadElf(BootRam ram, BootFile kernel)
    {
        var elf = ElfImage.Parse(kernel);
        if (elf.Is64)
        {
            throw kernel.Refused("a 64-bit ELF file can't be a multiboot kernel, 32-bit is needed");
        }

        elf.Load(ram);
        return ((uint)elf.ToPhysical(elf.Entry), elf.LoadEnd);
    }

    private static void WriteInformation(BootRam ram, List<MemoryRange> modules, IReadOnlyList<MemoryRange> map)
    {
        const uint MemoryCommandLineModulesMapName = (1 << 0) | (1 << 2) | (1 << 3) | (1 << 6) | (1 << 9);
        ulong info = BootLayout.Info;
        ram.Clear(info, PageKernels.PageBytes, "multiboot information");
        ram.WriteU32(info, MemoryCommandLineModulesMapName);
        ram.WriteU32(info + 0x04, (uint)(BootLayout.ExtendedBiosData >> 10));
        ram.WriteU32(info + 0x08, (uint)((ram.LowEnd - BootLayout.OneMebibyte) >> 10));
        ram.WriteU32(info + 0x10, (uint)BootLayout.Strings);
        ram.WriteU32(info + 0x14, (uint)modules.Count);
        ram.WriteU32(info + 0x18, (uint)BootLayout.Modules);
        for (int i = 0; i < modules.Count; i++)
        {
            ulong entry = BootLayout.Modules + (ulong)(i * ModuleBytes);
            ram.WriteU32(entry, (uint)modules[i].StartGpa);
            ram.WriteU32(entry + 4, (uint)modules[i].EndGpa);
            ram.WriteU32(entry + 8, (uint)BootLayout.Strings);
            ram.WriteU32(entry + 12, 0);
        }

        ram.WriteU32(info + 0x2C, (uint)(map.Count * MapEntryBytes));
        ram.WriteU32(info + 0x30, (uint)BootLayout.MemoryMap);
        byte[] e820 = MemoryMap.ToE820(map);
        for (int i = 0; i < map.Count; i++)
        {
            ulong entry = BootLayout.MemoryMap + (ulong)(i * MapEntryBytes);
            ram.WriteU32(entry, MapEntryBytes - 4);
            ram.Write(entry + 4, e820.AsSpan(i * MemoryMap.E820EntryBytes, MemoryMap.E820EntryBytes));
        }

        ram.WriteString(LoaderName, "hv");
        ram.WriteU32(info + 0x40, (uint)LoaderName);
    }

    private static uint U32(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[offset..]);
}
