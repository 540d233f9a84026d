using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Hypervisor.Core.Memory;
using Hypervisor.Machine.Boot;
using Hypervisor.Machine.Boot.Acpi;
using Xunit;

namespace Hypervisor.Tests.Boot;

public sealed class AcpiTablesTests : IDisposable
{
    private readonly GuestRam _ram = new(16 << 20);

    public void Dispose() => _ram.Dispose();

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(255)]
    public void Every_table_is_found_and_sums_to_zero(int cpuCount)
    {
        Dictionary<string, byte[]> tables = Write(cpuCount);

        Assert.Equal(["FACP", "APIC", "HPET", "DSDT"], tables.Keys);
        Assert.All(tables.Values, table => Assert.Equal(0, table.Sum(b => b) & 0xFF));
        byte[] rsdp = KernelImages.Read(_ram, 0xE_0000, 36);
        Assert.Equal(0, rsdp.Take(20).Sum(b => b) & 0xFF);
        Assert.Equal(0, rsdp.Sum(b => b) & 0xFF);
    }

    [Fact]
    public void The_fixed_table_names_the_boards_ports()
    {
        byte[] fadt = Write(1)["FACP"];

        Assert.Equal(9, BinaryPrimitives.ReadUInt16LittleEndian(fadt.AsSpan(46)));
        Assert.Equal(0x600u, BinaryPrimitives.ReadUInt32LittleEndian(fadt.AsSpan(56)));
        Assert.Equal(0x604u, BinaryPrimitives.ReadUInt32LittleEndian(fadt.AsSpan(64)));
        Assert.Equal(0x608u, BinaryPrimitives.ReadUInt32LittleEndian(fadt.AsSpan(76)));
        Assert.Equal(0xCF9UL, BinaryPrimitives.ReadUInt64LittleEndian(fadt.AsSpan(120)));
        Assert.Equal(0x0E, fadt[128]);
        Assert.Equal("FACS", Encoding.ASCII.GetString(KernelImages.Read(_ram, 0xE_0040, 4)));
    }

    [Fact]
    public void The_interrupt_table_lists_each_vcpu_once()
    {
        byte[] madt = Write(3)["APIC"];
        List<byte> apicIds = [];
        for (int offset = 44; offset < madt.Length; offset += madt[offset + 1])
        {
            if (madt[offset] == 0)
            {
                apicIds.Add(madt[offset + 3]);
            }
        }

        Assert.Equal([0, 1, 2], apicIds);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(256)]
    public void An_impossible_number_of_vcpus_is_refused(int cpuCount)
        => Assert.Throws<BootException>(() => BootLoader.Load(_ram, new BootRequest { CpuCount = cpuCount }));

    [Theory]
    [InlineData(0UL, "00")]
    [InlineData(1UL, "01")]
    [InlineData(0x12UL, "0A12")]
    [InlineData(0x1234UL, "0B3412")]
    [InlineData(0x1234_5678UL, "0C78563412")]
    [InlineData(0x1_0000_0000UL, "0E0000000001000000")]
    public void An_integer_takes_its_shortest_form(ulong value, string aml)
        => Assert.Equal(aml, Convert.ToHexString(new AmlWriter().Integer(value).ToArray()));

    [Fact]
    public void Names_are_padded_and_prefixed()
    {
        Assert.Equal("\\_SB_"u8.ToArray(), new AmlWriter().NameString("\\_SB").ToArray());
        Assert.Equal([0x2E, .. "AB__CD__"u8], new AmlWriter().NameString("AB.CD").ToArray());
        Assert.Equal([0x2F, 3, .. "A___B___C___"u8], new AmlWriter().NameString("A.B.C").ToArray());
    }

    // Spec: ACPI 6.4, 20.2.4. The length counts its own bytes.
    [Theory]
    [InlineData(62, "3F")]
    [InlineData(63, "4104")]
    [InlineData(4093, "4FFF")]
    [InlineData(4094, "810001")]
    public void A_package_length_grows_by_steps(int bodyBytes, string length)
    {
        string text = new('x', bodyBytes - 6); // body: name (4), 0D, text, 0

        byte[] aml = new AmlWriter().Scope("ABCD", body => body.Text(text)).ToArray();

        Assert.StartsWith("10" + length + "41424344", Convert.ToHexString(aml), StringComparison.Ordinal);
    }

    [Fact]
    public void An_eisa_identifier_is_compressed() => Assert.Equal(0x030A_D041u, AmlWriter.EisaId("PNP0A03"));

    private Dictionary<string, byte[]> Write(int cpuCount)
    {
        AcpiTables.Write(new BootRam(_ram), cpuCount);
        Dictionary<string, byte[]> tables = [];
        byte[] xsdt = Table(KernelImages.ReadU32(_ram, 0xE_0018));
        for (int offset = 36; offset < xsdt.Length; offset += 8)
        {
            byte[] table = Table(BinaryPrimitives.ReadUInt32LittleEndian(xsdt.AsSpan(offset)));
            tables.Add(Encoding.ASCII.GetString(table, 0, 4), table);
        }

        tables.Add("DSDT", Table(BinaryPrimitives.ReadUInt32LittleEndian(tables["FACP"].AsSpan(40))));
        return tables;
    }

    private byte[] Table(uint gpa) => KernelImages.Read(_ram, gpa, (int)KernelImages.ReadU32(_ram, gpa + 4));
}
