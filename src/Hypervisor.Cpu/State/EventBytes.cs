namespace Hypervisor.Cpu.State;

/// <summary>
/// Bytes of <see cref="CpuState.Events"/>: why a vCPU must look up at the next block entry. A byte each, so that
/// threads set and clear their own without locked instructions.
/// </summary>
internal static class EventBytes
{
    /// <summary>Somebody outside wants the vCPU to leave Run (pause, stop).</summary>
    internal const int Stop = 0;

    /// <summary>The local APIC, NMI or INTR state changed, or IF became 1: look for an interrupt to deliver.</summary>
    internal const int Interrupt = 1;

    /// <summary>Another thread stored to a page with decoded code: drop it before going on.</summary>
    internal const int CodeWritten = 2;

    /// <summary>
    /// TF, an armed instruction breakpoint, or an interrupt shadow: run one instruction, then look again.
    /// </summary>
    internal const int Step = 3;

    /// <summary>Another vCPU waits for this one to look up, see SafePoint.</summary>
    internal const int Peers = 4;
}
