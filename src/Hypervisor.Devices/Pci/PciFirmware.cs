using System.Collections.Generic;
using Hypervisor.Core;

namespace Hypervisor.Devices.Pci;

/// <summary>What firmware does to PCI before it starts a kernel: routes interrupts and places BARs.</summary>
public static class PciFirmware
{
    /// <summary>First address of the MMIO window. See src/ARCHITECTURE.md, "Address map".</summary>
    public const ulong MmioFirst = 0xC000_0000;

    /// <summary>Last address of the MMIO window; the I/O APIC follows.</summary>
    public const ulong MmioLast = 0xFEBF_FFFF;

    private const uint PortFirst = 0xC000;
    private const ushort EnableDecodeAndDma = 7;
    private const int FirstRoute = 0x60;

    // PIRQ A to D, as SeaBIOS sets them; the PIC must take IRQs 10 and 11 as level-triggered (ports 4D0, 4D1).
    private static readonly byte[] s_routes = [10, 10, 11, 11];

    /// <summary>Sets the machine's PCI functions up, in the order of their slots.</summary>
    public static void SetUp(PciHost host)
    {
        PciFunction? bridge = host.Find(Piix3IsaBridge.HomeSlot, 0);
        for (int pirq = 0; bridge is not null && pirq < PciHost.PirqCount; pirq++)
        {
            bridge.WriteConfig(FirstRoute + pirq, 1, s_routes[pirq]);
        }

        ulong nextAddress = MmioFirst;
        ulong nextPort = PortFirst;
        foreach (PciFunction function in host.Functions)
        {
            SetUp(function, ref nextAddress, ref nextPort);
        }
    }

    private static void SetUp(PciFunction function, ref ulong nextAddress, ref ulong nextPort)
    {
        IReadOnlyList<PciBar> bars = function.Bars;
        for (int i = 0; i < bars.Count; i++)
        {
            PciBar bar = bars[i];
            ref ulong next = ref bar.IsIo ? ref nextPort : ref nextAddress;
            ulong address = (next + bar.LengthBytes - 1) & ~(bar.LengthBytes - 1);
            Check.That(address + (bar.LengthBytes - 1) <= (bar.IsIo ? ushort.MaxValue : MmioLast));
            function.PlaceBar(bar, address);
            next = address + bar.LengthBytes;
        }

        if (bars.Count != 0)
        {
            byte irq = s_routes[PciHost.Pirq(function.Slot, function.InterruptPin)];
            function.WriteConfig(PciConfigRegister.InterruptLine, 1, function.InterruptPin == 0 ? (byte)0xFF : irq);
            function.WriteConfig(PciConfigRegister.Command, 2, EnableDecodeAndDma);
        }
    }
}
