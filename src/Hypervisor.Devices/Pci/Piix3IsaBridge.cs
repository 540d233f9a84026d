using System;
using Hypervisor.Core.State;

namespace Hypervisor.Devices.Pci;

/// <summary>The PIIX3 ISA bridge (8086:7000 at 0:1.0): routes the four PIRQ wires to inputs of the PIC.</summary>
/// <remarks>
/// Spec: Intel 82371SB data sheet (290550), 2.2. PIRQRC[A:D] at 60h-63h: 7 routing disabled | 3:0 IRQ. IRQs 0, 1, 2, 8
/// and 13 can't be chosen.
/// </remarks>
public sealed class Piix3IsaBridge : PciFunction, ICheckpointed
{
    /// <summary>Where it sits.</summary>
    public const int HomeSlot = 1;

    private const int FirstRoute = 0x60;
    private const int IrqCount = 16;
    private const byte RouteDisabled = 0x80;
    private const int RoutableIrqs = 0xDEF8;

    private readonly PciHost _host;
    private readonly Action<int, bool> _drivePic;
    private ushort _picLevels; // what we drive at the PIC, to drive changes only

    /// <summary>Makes the bridge and plugs it in.</summary>
    /// <param name="host">Where the wires come from.</param>
    /// <param name="drivePic">Sets the level of an input (0-15) of the PIC pair.</param>
    public Piix3IsaBridge(PciHost host, Action<int, bool> drivePic)
        : base(new PciIdentity(0x8086, 0x7000, 0, 0x06_0100)
        {
            SubsystemVendorId = 0x1AF4,
            SubsystemId = 0x1100,
            IsMultifunction = true,
        })
    {
        _host = host;
        _drivePic = drivePic;
        Allow(FirstRoute, PciHost.PirqCount, 0x8F8F_8F8F);
        SetU32(FirstRoute, 0x8080_8080);
        host.Add(this, HomeSlot);
        host.ConnectPirqs((_, _) => DrivePic());
    }

    /// <inheritdoc/>
    public SectionId Section => new(Tag: 0x3358_4950, Instance: 0, Version: 1); // "PIX3"

    /// <summary>The PIC input that a PIRQ goes to, or -1.</summary>
    public int Route(int pirq)
    {
        byte route = GetU8(FirstRoute + pirq);
        int irq = route & 0xF;
        return (route & RouteDisabled) == 0 && ((RoutableIrqs >> irq) & 1) != 0 ? irq : -1;
    }

    /// <inheritdoc/>
    public override void Reset()
    {
        base.Reset();
        DrivePic();
    }

    /// <inheritdoc/>
    public void Transfer(ref StateCodec state)
    {
        TransferConfig(ref state);
        state.U16(ref _picLevels);
        if (!state.IsSaving)
        {
            for (int irq = 0; irq < IrqCount; irq++)
            {
                if (((_picLevels >> irq) & 1) != 0)
                {
                    _drivePic(irq, true);
                }
            }
        }
    }

    /// <inheritdoc/>
    protected override void OnConfigWritten(int offset, int sizeBytes)
    {
        if (Touches(offset, sizeBytes, FirstRoute, PciHost.PirqCount))
        {
            DrivePic();
        }
    }

    private void DrivePic()
    {
        int levels = 0;
        for (int pirq = 0; pirq < PciHost.PirqCount; pirq++)
        {
            int irq = Route(pirq);
            levels |= irq >= 0 && _host.IsPirqHigh(pirq) ? 1 << irq : 0;
        }

        int changed = levels ^ _picLevels;
        _picLevels = (ushort)levels;
        for (int irq = 0; changed != 0 && irq < IrqCount; irq++)
        {
            if (((changed >> irq) & 1) != 0)
            {
                _drivePic(irq, ((levels >> irq) & 1) != 0);
            }
        }
    }
}
