using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Hypervisor.Core.Memory;

namespace Hypervisor.Machine.Boot;

/// <summary>The map that the guest gets as E820, multiboot's mmap or PVH's memmap: ascending, without overlap.</summary>
/// <remarks>Spec: ACPI 6.4, section 15 "System Address Map Interfaces".</remarks>
public static class MemoryMap
{
    /// <summary>Bytes of an entry as INT 15h E820 and boot_params have it: base u64, length u64, type u32.</summary>
    public const int E820EntryBytes = 20;

    /// <summary>The map of a machine with <paramref name="ram"/>.</summary>
    public static IReadOnlyList<MemoryRange> Of(GuestRam ram)
    {
        List<MemoryRange> ranges =
        [
            new(0, BootLayout.ExtendedBiosData, MemoryKind.Usable),
            new(BootLayout.ExtendedBiosData, 0xA_0000 - BootLayout.ExtendedBiosData, MemoryKind.Reserved),
            new(BootLayout.Firmware, BootLayout.OneMebibyte - BootLayout.Firmware, MemoryKind.Reserved),
        ];

        if ((ulong)ram.LowBytes > BootLayout.OneMebibyte)
        {
            ulong aboveFirst = (ulong)ram.LowBytes - BootLayout.OneMebibyte;
            ranges.Add(new MemoryRange(BootLayout.OneMebibyte, aboveFirst, MemoryKind.Usable));
        }

        if (ram.LengthBytes > ram.LowBytes)
        {
            ulong high = (ulong)(ram.LengthBytes - ram.LowBytes);
            ranges.Add(new MemoryRange(GuestRam.HighStart, high, MemoryKind.Usable));
        }

        return ranges;
    }

    /// <summary>The entries as E820 has them, <see cref="E820EntryBytes"/> each.</summary>
    public static byte[] ToE820(IReadOnlyList<MemoryRange> ranges)
    {
        byte[] table = new byte[ranges.Count * E820EntryBytes];
        for (int i = 0; i < ranges.Count; i++)
        {
            WriteE820(ranges[i], table.AsSpan(i * E820EntryBytes, E820EntryBytes));
        }

        return table;
    }

    /// <summary>Writes one entry as E820 has it.</summary>
    public static void WriteE820(MemoryRange range, Span<byte> entry)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(entry, range.StartGpa);
        BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], range.LengthBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[16..], (uint)range.Kind);
    }
}
