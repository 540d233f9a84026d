using System;
using System.Buffers.Binary;
using System.Collections.Generic;

namespace Hypervisor.Machine.Boot.Acpi;

/// <summary>Places all ACPI tables of the machine into the firmware area from E0000 on.</summary>
/// <remarks>Spec: ACPI 6.4, section 5.2. Addresses of the board: src/ARCHITECTURE.md.</remarks>
internal static class AcpiTables
{
    private const ulong Rsdp = BootLayout.Firmware;
    private const ulong Facs = BootLayout.Firmware + 0x40; // 64-byte aligned
    private const ulong First = BootLayout.Firmware + 0x80;
    private const ulong End = 0xE_F000;
    private const int RsdpBytes = 36;
    private const int FacsBytes = 64;
    private const uint LocalApic = 0xFEE0_0000;
    private const uint IoApic = 0xFEC0_0000;
    private const uint HighPrecisionTimer = 0xFED0_0000;

    /// <summary>Writes the tables for <paramref name="cpuCount"/> vCPUs; returns the RSDP's address.</summary>
    public static ulong Write(BootRam ram, int cpuCount)
    {
        ulong next = First;
        ulong dsdt = Place(ram, ref next, DsdtTable(cpuCount));
        ulong fadt = Place(ram, ref next, FixedTable(dsdt));
        ulong madt = Place(ram, ref next, InterruptTable(cpuCount));
        ulong hpet = Place(ram, ref next, TimerTable());
        ulong[] tables = [fadt, madt, hpet];
        ulong rsdt = Place(ram, ref next, RootTable("RSDT", tables, sizeof(uint)));
        ulong xsdt = Place(ram, ref next, RootTable("XSDT", tables, sizeof(ulong)));

        WriteFacs(ram);
        WriteRsdp(ram, rsdt, xsdt);
        return Rsdp;
    }

    private static ulong Place(BootRam ram, ref ulong next, byte[] table)
    {
        ulong gpa = next;
        Core.Check.That((ulong)table.Length <= End - gpa); // 255 vCPUs need 13 KiB
        ram.Write(gpa, table);
        next = (gpa + (ulong)table.Length + 15) & ~15UL;
        return gpa;
    }

    private static byte[] DsdtTable(int cpuCount)
    {
        byte[] aml = Dsdt.Build(cpuCount);
        var table = new AcpiTable("DSDT", 2, AcpiTable.HeaderBytes + aml.Length);
        table.Bytes(AcpiTable.HeaderBytes, aml);
        return table.ToArray();
    }

    // FADT. Spec: ACPI 6.4, section 5.2.9. The machine starts in legacy mode, as QEMU's does.
    private static byte[] FixedTable(ulong dsdt)
    {
        const int Pm1Event = 0x600;
        const int Pm1Control = 0x604;
        const int PmTimer = 0x608;
        const int GeneralEvents = 0x60C;
        const int SciInterrupt = 9;
        const int SmiCommand = 0xB2;
        const int AcpiEnable = 0xF1;
        const int AcpiDisable = 0xF0;
        const int LegacyDevicesKeyboardNoVga = 0x0007;

        // WBINVD works, C1 on all vCPUs, no fixed sleep button, RTC wakes not in fixed space, reset register.
        const uint Flags = (1 << 0) | (1 << 2) | (1 << 5) | (1 << 6) | (1 << 10);
        var table = new AcpiTable("FACP", 6, 276);
        table.U32(36, (uint)Facs);
        table.U32(40, (uint)dsdt);
        table.U8(45, 0); // preferred power profile: unspecified
        table.U16(46, SciInterrupt);
        table.U32(48, SmiCommand);
        table.U8(52, AcpiEnable);
        table.U8(53, AcpiDisable);
        table.U32(56, Pm1Event);
        table.U32(64, Pm1Control);
        table.U32(76, PmTimer);
        table.U32(80, GeneralEvents);
        table.U8(88, 4); // PM1 event length
        table.U8(89, 2); // PM1 control length
        table.U8(91, 4); // PM timer length
        table.U8(92, 4); // GPE0 length: 2 bytes of status, 2 of enables
        table.U16(96, 0xFFF); // C2 and C3 latencies: not supported
        table.U16(98, 0xFFF);
        table.U8(108, 0x32); // century in CMOS
        table.U16(109, LegacyDevicesKeyboardNoVga);
        table.U32(112, Flags);
        table.Address(116, isPort: true, 8, 0xCF9);
        table.U8(128, 0x0E);
        table.U64(140, dsdt);
        table.Address(148, isPort: true, 32, Pm1Event);
        table.Address(172, isPort: true, 16, Pm1Control);
        table.Address(208, isPort: true, 32, PmTimer);
        table.Address(220, isPort: true, 32, GeneralEvents);
        return table.ToArray();
    }

    // MADT. Spec: ACPI 6.4, section 5.2.12.
    private static byte[] InterruptTable(int cpuCount)
    {
        const byte LevelHigh = 0x0D;
        List<byte> entries = [];
        for (int i = 0; i < cpuCount; i++)
        {
            entries.AddRange([0, 8, (byte)i, (byte)i, 1, 0, 0, 0]); // local APIC, enabled
        }

        Span<byte> ioApic = stackalloc byte[12];
        ioApic[0] = 1;
        ioApic[1] = 12;
        BinaryPrimitives.WriteUInt32LittleEndian(ioApic[4..], IoApic);
        entries.AddRange(ioApic);
        entries.AddRange([2, 10, 0, 0, 2, 0, 0, 0, 0, 0]); // IRQ 0 is GSI 2
        foreach (byte irq in new byte[] { 5, 9, 10, 11 })
        {
            entries.AddRange([2, 10, 0, irq, irq, 0, 0, 0, LevelHigh, 0]); // SCI and PCI lines
        }

        entries.AddRange([4, 6, 0xFF, 0, 0, 1]); // LINT1 is NMI on all

        var table = new AcpiTable("APIC", 3, AcpiTable.HeaderBytes + 8 + entries.Count);
        table.U32(36, LocalApic);
        table.U32(40, 1); // PCAT_COMPAT: the PICs are there too
        table.Bytes(44, entries.ToArray());
        return table.ToArray();
    }

    // HPET. Spec: IA-PC HPET 1.0a, section 3.2.4.
    private static byte[] TimerTable()
    {
        var table = new AcpiTable("HPET", 1, 56);
        table.U32(36, 0x8086_A201); // vendor, legacy routing, 64-bit counter, 3 timers
        table.Address(40, isPort: false, 0, HighPrecisionTimer);
        return table.ToArray();
    }

    private static byte[] RootTable(string signature, ulong[] tables, int pointerBytes)
    {
        var root = new AcpiTable(signature, 1, AcpiTable.HeaderBytes + (tables.Length * pointerBytes));
        for (int i = 0; i < tables.Length; i++)
        {
            root.U32(AcpiTable.HeaderBytes + (i * pointerBytes), (uint)tables[i]);
        }

        return root.ToArray();
    }

    private static void WriteFacs(BootRam ram)
    {
        Span<byte> facs = stackalloc byte[FacsBytes];
        facs.Clear();
        "FACS"u8.CopyTo(facs);
        facs[4] = FacsBytes;
        facs[32] = 2; // version
        ram.Write(Facs, facs);
    }

    // RSDP: signature, checksum of 20 bytes, OEM ID, revision, RSDT u32, length u32, XSDT u64, checksum of all, reserved.
    private static void WriteRsdp(BootRam ram, ulong rsdt, ulong xsdt)
    {
        Span<byte> rsdp = stackalloc byte[RsdpBytes];
        rsdp.Clear();
        "RSD PTR "u8.CopyTo(rsdp);
        "HVBOX "u8.CopyTo(rsdp[9..]);
        rsdp[15] = 2;
        BinaryPrimitives.WriteUInt32LittleEndian(rsdp[16..], (uint)rsdt);
        BinaryPrimitives.WriteUInt32LittleEndian(rsdp[20..], RsdpBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(rsdp[24..], xsdt);
        rsdp[8] = AcpiTable.Checksum(rsdp[..20]);
        rsdp[32] = AcpiTable.Checksum(rsdp);
        ram.Write(Rsdp, rsdp);
    }
}
