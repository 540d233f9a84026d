namespace Hypervisor.Devices.Pci;

/// <summary>Offsets in the configuration header. Spec: PCI Local Bus 3.0, 6.1.</summary>
internal static class PciConfigRegister
{
    public const int VendorId = 0x00;
    public const int DeviceId = 0x02;
    public const int Command = 0x04;
    public const int Status = 0x06;
    public const int Revision = 0x08;
    public const int ClassCode = 0x09;
    public const int CacheLineSize = 0x0C;
    public const int LatencyTimer = 0x0D;
    public const int HeaderType = 0x0E;
    public const int FirstBar = 0x10;
    public const int SubsystemVendorId = 0x2C;
    public const int SubsystemId = 0x2E;
    public const int FirstCapability = 0x34;
    public const int InterruptLine = 0x3C;
    public const int InterruptPin = 0x3D;
}
