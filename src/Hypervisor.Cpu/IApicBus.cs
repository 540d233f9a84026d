namespace Hypervisor.Cpu;

/// <summary>The local APIC's way to the rest of the interrupt system. Called with the bus lock held.</summary>
public interface IApicBus
{
    /// <summary>
    /// Routes an interprocessor interrupt: the low half as in the ICR, the destination in the upper half, all ones for
    /// everybody. Spec: SDM volume 3, 11.6.1.
    /// </summary>
    void SendIpi(int sourceApicId, ulong interruptCommand);

    /// <summary>Tells the I/O APICs that a level-triggered <paramref name="vector"/> ended. Spec: SDM volume 3,
    /// 11.8.5.</summary>
    void BroadcastEndOfInterrupt(byte vector);

    /// <summary>A vCPU took an interrupt from its local APIC: another one of the vector can wait there
    /// now.</summary>
    void OnInterruptTaken(byte vector);

    /// <summary>Runs an INTA cycle at the 8259 pair and returns its vector.</summary>
    byte AcknowledgeExternalInterrupt();
}
