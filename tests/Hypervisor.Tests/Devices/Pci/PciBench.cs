using System.Collections.Generic;
using Hypervisor.Devices.Bus;
using Hypervisor.Devices.Pci;

namespace Hypervisor.Tests.Devices.Pci;

/// <summary>A PCI bus with the chipset's functions and two test functions, in slots 3 and 7.</summary>
internal sealed class PciBench
{
    public PciBench()
    {
        Host = new PciHost((gsi, high) => Lines[gsi] = high);
        Bridge = new Piix3IsaBridge(Host, (irq, high) => PicLines[irq] = high);
        PowerManagement = new Piix4PowerManagement(Host);
        First = new Sample(Mmio, Ports);
        Second = new Sample(Mmio, Ports);
        Host.Add(First, 3);
        Host.Add(Second, 7);
        Ports.Register("PCI configuration", PciHost.FirstPort, PciHost.PortCount, Host);
    }

    public PortBus Ports { get; } = new();

    public MmioBus Mmio { get; } = new();

    public PciHost Host { get; }

    public Piix3IsaBridge Bridge { get; }

    public Piix4PowerManagement PowerManagement { get; }

    public Sample First { get; }

    public Sample Second { get; }

    public Dictionary<int, bool> Lines { get; } = [];

    public Dictionary<int, bool> PicLines { get; } = [];

    public uint Read(int slot, int function, int offset, int sizeBytes)
    {
        Select(slot, function, offset);
        return Ports.Read((ushort)(0xCFC + (offset & 3)), sizeBytes);
    }

    public void Write(int slot, int function, int offset, int sizeBytes, uint value)
    {
        Select(slot, function, offset);
        Ports.Write((ushort)(0xCFC + (offset & 3)), sizeBytes, value);
    }

    private void Select(int slot, int function, int offset)
        => Ports.Write(0xCF8, 4, 0x8000_0000u | ((uint)slot << 11) | ((uint)function << 8) | ((uint)offset & 0xFC));

    /// <summary>A function with a BAR of each kind; reads as the offset.</summary>
    internal sealed class Sample : PciFunction, IMmioDevice, IPortDevice
    {
        public Sample(MmioBus mmio, PortBus ports)
            : base(new PciIdentity(0x1234, 0x5678, 9, 0x02_0304)
            {
                SubsystemVendorId = 0xABCD,
                SubsystemId = 0xEF01,
                InterruptPin = 1,
            })
        {
            AddMemoryBar(0, mmio.AddWindow("small", 0x1000, this), is64Bit: false);
            AddMemoryBar(2, mmio.AddWindow("large", 0x1_0000, this), is64Bit: true);
            AddIoBar(4, ports.AddWindow("ports", 32, this));
            FirstCapability = AddCapability(0x09, 7);
            SecondCapability = AddCapability(0x11, 12);
        }

        public int FirstCapability { get; }

        public int SecondCapability { get; }

        public void Pull(bool isPending) => SetInterrupt(isPending);

        public ulong ReadMmio(ulong offset, int sizeBytes) => offset;

        public void WriteMmio(ulong offset, int sizeBytes, ulong value)
        {
        }

        public uint ReadPort(int offset, int sizeBytes) => (uint)offset;

        public void WritePort(int offset, int sizeBytes, uint value)
        {
        }
    }
}
