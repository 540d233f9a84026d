using System;
using Hypervisor.Cpu;
using Hypervisor.Cpu.Interrupts;
using Hypervisor.Devices.Chipset;

namespace Hypervisor.Machine;

/// <summary>
/// The wires between interrupt controllers: lines to PIC and I/O APIC, messages to local APICs. Bus lock held.
/// </summary>
internal sealed class InterruptRouter : IApicBus
{
    private const int IsaIrqCount = 16;
    private const int PitIrq = 0;
    private const int PitPin = 2; // the I/O APIC's pin 0 is for ExtINT; MADT says so by an override

    private Pic8259? _pic;
    private IoApic? _ioApic;
    private Vcpu[] _vcpus = [];
    private int _pinTwo; // who drives it, a bit each; derived: devices drive their lines again after a load

    /// <summary>Called when a vCPU took an interrupt of the timer's line: IRQ 0, at the I/O APIC pin 2.</summary>
    internal Action? OnTimerTaken { get; set; }

    /// <summary>Whether an edge of the timer's line waits for a vCPU that will take it.</summary>
    internal bool IsTimerWaiting
    {
        get
        {
            int vector = _ioApic!.EdgeVector(PitPin);
            return (vector >= 0 && Array.Exists(_vcpus, vcpu => vcpu.LocalApic.IsRequested(vector)))
                || (_pic!.IsWaiting(PitIrq) && _vcpus[0].LocalApic.TakesExternalInterrupts);
        }
    }

    internal void Connect(Pic8259 pic, IoApic ioApic, Vcpu[] vcpus)
    {
        _pic = pic;
        _ioApic = ioApic;
        _vcpus = vcpus;
    }

    /// <summary>Drives a line: ISA IRQs reach both controllers, the others the I/O APIC.</summary>
    internal void DriveGsi(int gsi, bool high)
    {
        if (gsi is PitIrq or PitPin)
        {
            // The PIT's line, and the HPET's outside its legacy mode, meet at pin 2; the PIC has only the PIT's.
            _pinTwo = high ? _pinTwo | (1 << gsi) : _pinTwo & ~(1 << gsi);
            _ioApic!.Drive(PitPin, _pinTwo != 0);
            if (gsi == PitIrq)
            {
                _pic!.Drive(gsi, high);
            }

            return;
        }

        if (gsi < IsaIrqCount)
        {
            _pic!.Drive(gsi, high);
        }

        _ioApic!.Drive(gsi, high);
    }

    /// <summary>Sends a message-signalled interrupt. Spec: SDM volume 3, 11.11.</summary>
    internal void SendMsi(ulong address, uint data)
    {
        uint destination = (uint)(address >> 12) & 0xFF;
        bool isLogical = (address & 4) != 0;
        Deliver(destination, isLogical, (DeliveryMode)((data >> 8) & 7), (byte)data, (data & 0x8000) != 0);
    }

    /// <summary>The PIC's INTR output, wired to LINT0 of vCPU 0.</summary>
    internal void SetExternalInterrupt(bool high) => _vcpus[0].LocalApic.SetExternalInterrupt(high);

    /// <inheritdoc/>
    public void SendIpi(int sourceApicId, ulong interruptCommand)
    {
        uint command = (uint)interruptCommand;
        DeliveryMode mode = (DeliveryMode)((command >> 8) & 7);
        bool isLevel = (command & 0x8000) != 0;
        if (mode == DeliveryMode.Init && isLevel && (command & 0x4000) == 0)
        {
            return; // INIT level de-assert: only synchronises arbitration IDs, which nobody has any more
        }

        switch ((command >> 18) & 3)
        {
            case 0:
                Deliver((uint)(interruptCommand >> 32), (command & 0x800) != 0, mode, (byte)command, isLevel: false);
                break;
            case 1:
                _vcpus[sourceApicId].LocalApic.Accept(mode, (byte)command, isLevel: false);
                break;
            case uint shorthand:
                for (int i = 0; i < _vcpus.Length; i++)
                {
                    if (shorthand == 2 || i != sourceApicId)
                    {
                        _vcpus[i].LocalApic.Accept(mode, (byte)command, isLevel: false);
                    }
                }

                break;
        }
    }

    /// <inheritdoc/>
    public void BroadcastEndOfInterrupt(byte vector) => _ioApic!.EndOfInterrupt(vector);

    /// <inheritdoc/>
    public void OnInterruptTaken(byte vector)
    {
        if (vector == _ioApic!.EdgeVector(PitPin))
        {
            OnTimerTaken?.Invoke();
        }
    }

    /// <inheritdoc/>
    public byte AcknowledgeExternalInterrupt()
    {
        bool wasWaiting = _pic!.IsWaiting(PitIrq);
        byte vector = _pic.Acknowledge();
        if (wasWaiting && !_pic.IsWaiting(PitIrq))
        {
            OnTimerTaken?.Invoke();
        }

        return vector;
    }

    // Lowest priority goes to the first that matches: which one is ours to choose. Spec: SDM volume 3, 11.6.2.4.
    private void Deliver(uint destination, bool isLogical, DeliveryMode mode, byte vector, bool isLevel)
    {
        foreach (Vcpu vcpu in _vcpus)
        {
            if (vcpu.LocalApic.IsDestination(destination, isLogical))
            {
                vcpu.LocalApic.Accept(mode, vector, isLevel);
                if (mode == DeliveryMode.LowestPriority)
                {
                    return;
                }
            }
        }
    }
}
