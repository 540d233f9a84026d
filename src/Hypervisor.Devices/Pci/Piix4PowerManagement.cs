using Hypervisor.Core.State;

namespace Hypervisor.Devices.Pci;

/// <summary>The configuration space of the PIIX4 power management function (8086:7113 at 0:1.3).</summary>
/// <remarks>
/// Spec: Intel 82371AB data sheet (290562), 7.1. The registers themselves are a chipset device at fixed ports; here the
/// guest reads where. PMBA (40h) is read-only: ACPI tables name the same ports.
/// </remarks>
public sealed class Piix4PowerManagement : PciFunction, ICheckpointed
{
    /// <summary>First port of the ACPI registers.</summary>
    public const ushort PowerManagementPort = 0x600;

    private const int PowerManagementBase = 0x40, MiscellaneousRegisters = 0x80;
    private const uint IsIoSpace = 1;
    private const byte DecodesIo = 1;
    private const int HomeFunction = 3;

    /// <summary>Makes the function and plugs it in beside the ISA bridge.</summary>
    public Piix4PowerManagement(PciHost host)
        : base(new PciIdentity(0x8086, 0x7113, 3, 0x06_8000)
        {
            SubsystemVendorId = 0x1AF4,
            SubsystemId = 0x1100,
            InterruptPin = 1,
        })
    {
        SetU32(PowerManagementBase, PowerManagementPort | IsIoSpace);
        SetU8(MiscellaneousRegisters, DecodesIo);
        SetU8(PciConfigRegister.InterruptLine, 9); // the SCI
        host.Add(this, Piix3IsaBridge.HomeSlot, HomeFunction);
    }

    /// <inheritdoc/>
    public SectionId Section => new(Tag: 0x3458_4950, Instance: 0, Version: 1); // "PIX4"

    /// <inheritdoc/>
    public void Transfer(ref StateCodec state) => TransferConfig(ref state);
}
