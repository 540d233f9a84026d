namespace Hypervisor.Cpu.Interrupts;

/// <summary>Values of <see cref="State.CpuState.InterruptShadow"/>. Spec: SDM volume 3, 6.8.3.</summary>
internal static class InterruptShadow
{
    /// <summary>After STI: interrupts wait for one instruction.</summary>
    internal const uint Sti = 1;

    /// <summary>After MOV SS, POP SS: interrupts and debug exceptions wait for one instruction.</summary>
    internal const uint MovSs = 2;

    internal const uint Any = Sti | MovSs;
}
