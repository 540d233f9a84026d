using System;
using Hypervisor.Core.State;
using Hypervisor.Devices;
using Hypervisor.Devices.Bus;
using Hypervisor.Devices.Pci;
using Hypervisor.Devices.Virtio;
using Hypervisor.TestKit;

namespace Hypervisor.Tests.Devices.Virtio;

/// <summary>A machine of nothing but PCI and one virtio device in slot 4, with its BARs placed.</summary>
internal sealed class VirtioBench : IDisposable
{
    public const int Slot = 4;

    public VirtioBench(Func<DeviceContext, VirtioDevice> create, long ramBytes = 1 << 24)
    {
        Harness = new DeviceHarness(ramBytes);
        Host = new PciHost((gsi, high) => Harness.Context.DriveLine(gsi, high));
        Ports.Register("PCI configuration", PciHost.FirstPort, PciHost.PortCount, Host);
        Transport = new VirtioPciTransport(Harness.Context, Mmio, Host, Slot, create(Harness.Context));
        PciFirmware.SetUp(Host);
    }

    public DeviceHarness Harness { get; }

    public PortBus Ports { get; } = new();

    public MmioBus Mmio { get; } = new();

    public PciHost Host { get; }

    public VirtioPciTransport Transport { get; }

    public VirtioPciDriver Probe() => new(Ports, Mmio, Slot);

    /// <summary>Takes RAM and the device's section from another machine, as a takeover does.</summary>
    public void LoadFrom(VirtioBench source)
    {
        int length = (int)Harness.Ram.LengthBytes - 0xC_0000;
        Harness.Ram.TryWrite(0xC_0000, source.Harness.Ram.ReadOnlyBytes(0xC_0000, length));
        byte[] section = new byte[1 << 16];
        int sectionBytes = CheckpointSection.Write(source.Transport, section);
        CheckpointSection.Read(Transport, section.AsSpan(0, sectionBytes));
    }

    public void Dispose() => Harness.Dispose();
}
