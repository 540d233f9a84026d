namespace Hypervisor.Cpu.Interrupts;

/// <summary>Values of <see cref="State.CpuState.Activity"/>. Spec: SDM volume 3, 25.4.2.</summary>
internal static class Activity
{
    internal const uint Active = 0;
    internal const uint Halted = 1;
    internal const uint ShutDown = 2;
    internal const uint WaitingForSipi = 3;

    /// <summary>In MWAIT. Not in a section: MWAIT may end at any time, so a loaded vCPU is active.</summary>
    internal const uint MonitorWait = 4;
}
