namespace Hypervisor.Cpu.Interrupts;

/// <summary>Offsets of local APIC registers in the xAPIC page; x2APIC MSR = 800h + offset / 16. Spec: SDM volume 3,
/// table 11-1 and 11-6.</summary>
internal static class ApicRegister
{
    internal const int Id = 0x020;
    internal const int Version = 0x030;
    internal const int TaskPriority = 0x080;
    internal const int ArbitrationPriority = 0x090;
    internal const int ProcessorPriority = 0x0A0;
    internal const int EndOfInterrupt = 0x0B0;
    internal const int LogicalDestination = 0x0D0;
    internal const int DestinationFormat = 0x0E0;
    internal const int SpuriousVector = 0x0F0;
    internal const int InService = 0x100;
    internal const int TriggerMode = 0x180;
    internal const int InterruptRequest = 0x200;
    internal const int ErrorStatus = 0x280;
    internal const int InterruptCommandLow = 0x300;
    internal const int InterruptCommandHigh = 0x310;
    internal const int LvtTimer = 0x320;
    internal const int LvtThermal = 0x330;
    internal const int LvtPerformance = 0x340;
    internal const int LvtLint0 = 0x350;
    internal const int LvtLint1 = 0x360;
    internal const int LvtError = 0x370;
    internal const int InitialCount = 0x380;
    internal const int CurrentCount = 0x390;
    internal const int DivideConfiguration = 0x3E0;
    internal const int SelfIpi = 0x3F0;
}
