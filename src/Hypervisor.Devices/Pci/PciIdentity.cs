namespace Hypervisor.Devices.Pci;

/// <summary>The read-only part of a configuration header: who the function is.</summary>
/// <param name="VendorId">Assigned by the PCI-SIG.</param>
/// <param name="DeviceId">Assigned by the vendor.</param>
/// <param name="Revision">Revision ID.</param>
/// <param name="ClassCode">24 bits: base class, sub-class, programming interface.</param>
public readonly record struct PciIdentity(ushort VendorId, ushort DeviceId, byte Revision, uint ClassCode)
{
    /// <summary>Vendor of the board that the function sits on.</summary>
    public ushort SubsystemVendorId { get; init; }

    /// <summary>The board's own number.</summary>
    public ushort SubsystemId { get; init; }

    /// <summary>Interrupt pin: 0 none, 1 INTA to 4 INTD.</summary>
    public byte InterruptPin { get; init; }

    /// <summary>Whether the device has further functions; function 0 says so for all.</summary>
    public bool IsMultifunction { get; init; }
}
