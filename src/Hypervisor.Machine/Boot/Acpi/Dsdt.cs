using System.Globalization;

namespace Hypervisor.Machine.Boot.Acpi;

/// <summary>The differentiated system description table: what the guest can't find by probing.</summary>
/// <remarks>Spec: ACPI 6.4, sections 6 "Device Configuration" and 6.2.13 "_PRT". Addresses: src/ARCHITECTURE.md.</remarks>
internal static class Dsdt
{
    private const int PciSlotCount = 32;
    private const int PinCount = 4;
    private const int FirstPciGsi = 16;
    private const uint PciWindowStart = 0xC000_0000;
    private const uint PciWindowLast = 0xFEBF_FFFF;
    private static readonly string[] s_links = ["LNKA", "LNKB", "LNKC", "LNKD"];
    private static readonly string[] s_routes = ["PRQ0", "PRQ1", "PRQ2", "PRQ3"];

    /// <summary>The AML of the table, without its header.</summary>
    public static byte[] Build(int cpuCount)
    {
        var aml = new AmlWriter();
        aml.Name("\\_S5", value => value.Package(0, 0, 0, 0));

        // The kernel says here which interrupt controller it uses: 0 the PIC, 1 the IOAPIC.
        aml.Name("\\PICM", 0);
        aml.Method("\\_PIC", 1, serialized: false, method => method.Store(arg => arg.Argument(0), "\\PICM"));
        aml.Scope("\\_SB", scope =>
        {
            for (int i = 0; i < cpuCount; i++)
            {
                AddCpu(scope, i);
            }

            scope.Device("PCI0", AddHostBridge);
            scope.Device("HPET", device => device
                .NameEisaId("_HID", "PNP0103")
                .Name("_UID", 0)
                .Name("_CRS", new AmlResources().Memory(0xFED0_0000, 0x400).ToArray()));
            for (int i = 0; i < PinCount; i++)
            {
                AddLink(scope, i);
            }
        });
        return aml.ToArray();
    }

    private static void AddCpu(AmlWriter scope, int index)
    {
        string name = $"C{index.ToString("X3", CultureInfo.InvariantCulture)}";
        scope.Device(name, device => device.Name("_HID", "ACPI0007").Name("_UID", (ulong)index));
    }

    private static void AddHostBridge(AmlWriter bridge)
    {
        bridge.NameEisaId("_HID", "PNP0A03").Name("_UID", 0);
        bridge.Name("_CRS", new AmlResources()
            .BusWindow(0, 0xFF)
            .Io(0x0CF8, 8)
            .IoWindow(0x0000, 0x0CF7)
            .IoWindow(0x0D00, 0xFFFF)
            .MemoryWindow(0xA_0000, 0xB_FFFF, cacheable: true)
            .MemoryWindow(PciWindowStart, PciWindowLast, cacheable: false)
            .ToArray());
        AddRouting(bridge);
        bridge.Device("ISA", AddIsaBridge);
    }

    // INTx of a slot: pins rotate by slot as PciHost wires them, PIRQ (slot - 1 + pin) mod 4.
    private static void AddRouting(AmlWriter bridge)
    {
        bridge.Name("PRTA", value => value.Package(PciSlotCount * PinCount, entries =>
        {
            for (int i = 0; i < PciSlotCount * PinCount; i++)
            {
                ulong gsi = (ulong)(FirstPciGsi + Line(i));
                entries.Package(SlotAddress(i), (ulong)(i % PinCount), 0, gsi);
            }
        }));
        bridge.Name("PRTP", value => value.Package(PciSlotCount * PinCount, entries =>
        {
            for (int i = 0; i < PciSlotCount * PinCount; i++)
            {
                int index = i;
                entries.Package(4, entry => entry
                    .Integer(SlotAddress(index))
                    .Integer((ulong)(index % PinCount))
                    .NameString(s_links[Line(index)])
                    .Integer(0));
            }
        }));
        bridge.Method("_PRT", 0, serialized: false, method => method
            .If(test => test.NameString("\\PICM"), body => body.Return(value => value.NameString("PRTA")))
            .Return(value => value.NameString("PRTP")));
    }

    private static int Line(int index) => ((index / PinCount) + PinCount - 1 + (index % PinCount)) % PinCount;

    private static ulong SlotAddress(int index) => ((ulong)(index / PinCount) << 16) | 0xFFFF; // any function

    private static void AddIsaBridge(AmlWriter isa)
    {
        isa.Name("_ADR", 0x0001_0000);
        isa.PciConfigFields("PIRQ", 0x60, s_routes);
        isa.Device("COM1", device => device
            .NameEisaId("_HID", "PNP0501")
            .Name("_UID", 1)
            .Name("_CRS", new AmlResources().Io(0x3F8, 8).Irq(4).ToArray()));
        isa.Device("RTC", device => device
            .NameEisaId("_HID", "PNP0B00")
            .Name("_CRS", new AmlResources().Io(0x70, 2).Irq(8).ToArray()));
        isa.Device("KBD", device => device
            .NameEisaId("_HID", "PNP0303")
            .Name("_CRS", new AmlResources().Io(0x60, 1).Io(0x64, 1).Irq(1).ToArray()));
        isa.Device("FWCF", device => device
            .Name("_HID", "QEMU0002")
            .Name("_CRS", new AmlResources().Io(0x510, 12).ToArray()));
        isa.Device("MBRD", device => device
            .NameEisaId("_HID", "PNP0C02")
            .Name("_CRS", new AmlResources().Io(0x600, 16).Io(0x61, 1).Io(0x80, 1).Io(0x4D0, 2).ToArray()));
    }

    // PIRQ routing of the PIIX: bits 3-0 IRQ, bit 7 set disables. Spec: Intel 82371SB (PIIX3) data sheet, 2.2.12.
    private static void AddLink(AmlWriter scope, int index)
    {
        string route = $"\\_SB.PCI0.ISA.{s_routes[index]}";
        string buffer = $"BUF{index}";
        string field = $"IRQ{index}";
        scope.Device(s_links[index], device => device
            .NameEisaId("_HID", "PNP0C0F")
            .Name("_UID", (ulong)index)
            .Name("_PRS", new AmlResources().Interrupts(5, 10, 11).ToArray())
            .Name(buffer, new AmlResources().Interrupts(0).ToArray())
            .CreateU32Field(buffer, 5, field)
            .Method("_STA", 0, serialized: false, method => method
                .If(
                    test => test.And(left => left.NameString(route), right => right.Integer(0x80)),
                    body => body.Return(value => value.Integer(0x09)))
                .Return(value => value.Integer(0x0B)))
            .Method("_DIS", 0, serialized: false, method => method
                .Store(value => value.Or(left => left.NameString(route), right => right.Integer(0x80)), route))
            .Method("_CRS", 0, serialized: true, method => method
                .Store(value => value.And(left => left.NameString(route), right => right.Integer(0x0F)), field)
                .Return(value => value.NameString(buffer)))
            .Method("_SRS", 1, serialized: true, method => method
                .CreateU32ArgumentField(0, 5, "REQI")
                .Store(value => value.NameString("REQI"), route)));
    }
}
