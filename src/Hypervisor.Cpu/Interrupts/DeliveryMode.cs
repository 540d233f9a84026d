namespace Hypervisor.Cpu.Interrupts;

/// <summary>What an interrupt message does. Spec: SDM volume 3, 11.6.1 and 11.11.2.</summary>
public enum DeliveryMode
{
    /// <summary>The vector, at all destinations.</summary>
    Fixed = 0,

    /// <summary>The vector, at one of the destinations.</summary>
    LowestPriority = 1,

    /// <summary>System management interrupt: there is no SMM here, ignored.</summary>
    Smi = 2,

    /// <summary>Non-maskable interrupt.</summary>
    Nmi = 4,

    /// <summary>INIT.</summary>
    Init = 5,

    /// <summary>Start-up at the page that the vector names.</summary>
    StartUp = 6,

    /// <summary>The vector comes from the 8259 pair.</summary>
    ExternalInterrupt = 7,
}
