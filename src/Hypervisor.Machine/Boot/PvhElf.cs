using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Text;

namespace Hypervisor.Machine.Boot;

/// <summary>Loads an ELF kernel that carries a PVH entry point.</summary>
/// <remarks>
/// Spec: Xen docs/misc/pvh.pandoc and include/public/arch-x86/hvm/start_info.h. start_info, little-endian:
/// <code>
/// 00 magic 336EC578 | 04 version 1 | 08 flags | 0C nr_modules | 10 modlist u64 | 18 cmdline u64 | 20 rsdp u64
/// 28 memmap u64 | 30 memmap_entries | 34 reserved
/// module: address u64, size u64, cmdline u64, reserved u64     memmap entry: address u64, size u64, type u32, 0 u32
/// </code>
/// </remarks>
internal static class PvhElf
{
    private const uint NotePhys32Entry = 18;
    private const uint StartInfoMagic = 0x336E_C578;
    private const int ModuleBytes = 32;
    private const int MemoryMapEntryBytes = 24;

    /// <summary>Whether the ELF file has the note that makes it bootable by PVH.</summary>
    public static bool IsMatch(ElfImage elf) => TryGetEntry(elf, out _);

    /// <summary>Loads the kernel, its modules (the initrd is the first one) and start_info.</summary>
    /// <exception cref="BootException">The file is hostile, or RAM is too small.</exception>
    public static BootPlan Load(
        BootRam ram,
        BootFile kernel,
        ElfImage elf,
        IReadOnlyList<BootFile> modules,
        string commandLine,
        ulong rsdpGpa,
        IReadOnlyList<MemoryRange> map)
    {
        if (!TryGetEntry(elf, out uint entry))
        {
            throw kernel.Refused("ELF without a PVH entry point (note 18 of owner Xen)");
        }

        elf.Load(ram);
        List<MemoryRange> loaded = BootModules.Load(ram, modules, elf.LoadEnd);
        WriteCommandLine(ram, kernel, commandLine);
        WriteModules(ram, loaded);
        WriteMemoryMap(ram, map);

        Span<byte> info = stackalloc byte[0x38];
        BinaryPrimitives.WriteUInt32LittleEndian(info, StartInfoMagic);
        BinaryPrimitives.WriteUInt32LittleEndian(info[0x04..], 1);
        BinaryPrimitives.WriteUInt32LittleEndian(info[0x0C..], (uint)loaded.Count);
        BinaryPrimitives.WriteUInt64LittleEndian(info[0x10..], loaded.Count == 0 ? 0 : BootLayout.Modules);
        BinaryPrimitives.WriteUInt64LittleEndian(info[0x18..], BootLayout.Strings);
        BinaryPrimitives.WriteUInt64LittleEndian(info[0x20..], rsdpGpa);
        BinaryPrimitives.WriteUInt64LittleEndian(info[0x28..], BootLayout.MemoryMap);
        BinaryPrimitives.WriteUInt32LittleEndian(info[0x30..], (uint)map.Count);
        ram.Write(BootLayout.Info, info);

        ram.WriteFlatTables(isLong: false);
        return BootPlan.Flat32(entry) with { Rbx = BootLayout.Info };
    }

    internal static void WriteCommandLine(BootRam ram, BootFile kernel, string commandLine)
    {
        int lengthBytes = Encoding.UTF8.GetByteCount(commandLine);
        if ((ulong)lengthBytes >= BootLayout.StringsEnd - BootLayout.Strings)
        {
            throw kernel.Refused(
                $"command line has {lengthBytes} bytes, allowed are {BootLayout.StringsEnd - BootLayout.Strings - 1}");
        }

        ram.WriteString(BootLayout.Strings, commandLine);
    }

    private static bool TryGetEntry(ElfImage elf, out uint entry)
    {
        entry = 0;
        if (!elf.TryFindNote("Xen\0"u8, NotePhys32Entry, out byte[] descriptor) || descriptor.Length is not (4 or 8))
        {
            return false;
        }

        entry = BinaryPrimitives.ReadUInt32LittleEndian(descriptor);
        return descriptor.Length == 4 || BinaryPrimitives.ReadUInt32LittleEndian(descriptor.AsSpan(4)) == 0;
    }

    private static void WriteModules(BootRam ram, List<MemoryRange> modules)
    {
        for (int i = 0; i < modules.Count; i++)
        {
            ulong entry = BootLayout.Modules + (ulong)(i * ModuleBytes);
            ram.Clear(entry, ModuleBytes, "module list");
            ram.WriteU64(entry, modules[i].StartGpa);
            ram.WriteU64(entry + 8, modules[i].LengthBytes);
        }
    }

    private static void WriteMemoryMap(BootRam ram, IReadOnlyList<MemoryRange> map)
    {
        byte[] entry = new byte[MemoryMapEntryBytes];
        for (int i = 0; i < map.Count; i++)
        {
            MemoryMap.WriteE820(map[i], entry);
            ram.Write(BootLayout.MemoryMap + (ulong)(i * MemoryMapEntryBytes), entry);
        }
    }
}
