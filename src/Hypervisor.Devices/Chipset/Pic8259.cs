using System;
using Hypervisor.Core;
using Hypervisor.Core.State;
using Hypervisor.Devices.Bus;

namespace Hypervisor.Devices.Chipset;

/// <summary>The PC's pair of 8259A interrupt controllers, ports 20, A0 and 4D0.</summary>
/// <remarks>
/// Spec: Intel 8259A data sheet (231468); PIIX3 data sheet (290550), 2.5. Input levels are part of the state, so it
/// must be loaded before the devices, which drive their lines again.
/// </remarks>
public sealed class Pic8259 : ICheckpointed
{
    // IRQ 0, 1, 2, 8 and 13 are always edge triggered. Spec: PIIX3, 2.5.11.
    private const byte PrimaryElcrMask = 0xF8;
    private const byte SecondaryElcrMask = 0xDE;

    private readonly Pic8259Chip _primary;
    private readonly Pic8259Chip _secondary;

    /// <summary>Makes a pair in power-on state.</summary>
    /// <param name="setIntr">Drives INTR, the wire to LINT0 of the boot vCPU. May repeat the level it has.</param>
    public Pic8259(Action<bool> setIntr)
    {
        _primary = new Pic8259Chip(isPrimary: true, PrimaryElcrMask, setIntr);
        _secondary = new Pic8259Chip(
            isPrimary: false, SecondaryElcrMask, high => _primary.SetLine(Pic8259Chip.CascadeInput, high));
    }

    /// <inheritdoc/>
    public SectionId Section => new(Tag: 0x3843_4950, Instance: 0, Version: 1); // "PIC8"

    /// <summary>Whether INTR is high.</summary>
    public bool IsRequesting => _primary.FindRequest() >= 0;

    /// <summary>Claims the ports of both controllers.</summary>
    public void Attach(PortBus ports)
    {
        ports.Register("PIC", 0x20, 2, new PortHandler(_primary.Read, _primary.Write), accessBytesMax: 1);
        ports.Register("second PIC", 0xA0, 2, new PortHandler(_secondary.Read, _secondary.Write), accessBytesMax: 1);
        ports.Register("PIC ELCR", 0x4D0, 2, new PortHandler(ReadTrigger, WriteTrigger), accessBytesMax: 1);
    }

    /// <summary>Power-on state.</summary>
    public void Reset()
    {
        _primary.Reset();
        _secondary.Reset();
    }

    /// <summary>Drives IRQ 0-15. IRQ 2 is the cascade and has no wire.</summary>
    public void Drive(int irq, bool high)
    {
        Check.That(irq is >= 0 and < 16);
        if (irq != Pic8259Chip.CascadeInput)
        {
            (irq < 8 ? _primary : _secondary).SetLine(irq & 7, high);
        }
    }

    /// <summary>Whether an edge or level of IRQ 0-15 waits, unmasked, for its INTA cycle.</summary>
    public bool IsWaiting(int irq) => (irq < 8 ? _primary : _secondary).IsWaiting(irq & 7);

    /// <summary>Runs an INTA cycle and returns the vector; IRQ 7's or 15's when the request is gone.</summary>
    public byte Acknowledge()
    {
        int input = _primary.FindRequest();
        if (input < 0)
        {
            return _primary.SpuriousVector;
        }

        // The primary first: the secondary's INT may rise again in its own INTA, and that is a new edge on IR2.
        byte vector = _primary.Acknowledge(input);
        if (input != Pic8259Chip.CascadeInput)
        {
            return vector;
        }

        input = _secondary.FindRequest();
        return input < 0 ? _secondary.SpuriousVector : _secondary.Acknowledge(input);
    }

    /// <inheritdoc/>
    public void Transfer(ref StateCodec state)
    {
        _primary.Transfer(ref state);
        _secondary.Transfer(ref state);
        if (!state.IsSaving)
        {
            // Not the secondary: its INT is the primary's IR2, whose level has just been loaded.
            _primary.UpdateOutput();
        }
    }

    private byte ReadTrigger(int offset) => (offset == 0 ? _primary : _secondary).ReadTrigger();

    private void WriteTrigger(int offset, byte value)
        => (offset == 0 ? _primary : _secondary).WriteTrigger(value);
}
