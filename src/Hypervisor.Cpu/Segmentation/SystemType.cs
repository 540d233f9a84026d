namespace Hypervisor.Cpu.Segmentation;

/// <summary>Types of system descriptors. Spec: SDM volume 3, table 3-2.</summary>
internal static class SystemType
{
    internal const int Tss16 = 1;
    internal const int Ldt = 2;
    internal const int CallGate16 = 4;
    internal const int TaskGate = 5;
    internal const int InterruptGate16 = 6;
    internal const int TrapGate16 = 7;
    internal const int Tss32 = 9;
    internal const int CallGate32 = 12;
    internal const int InterruptGate32 = 14;
    internal const int TrapGate32 = 15;

    /// <summary>Added to a TSS's type while its task runs or waits for a nested one.</summary>
    internal const int Busy = 2;
}
