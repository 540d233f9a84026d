using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Interrupts;

/// <summary>What a vCPU does when it looks up between two blocks.</summary>
internal sealed unsafe class VcpuEvents(Vcpu vcpu)
{
    /// <summary>Handles what is pending. True: leave Run with <paramref name="exit"/>.</summary>
    internal bool TryHandle(out VcpuExit exit)
    {
        exit = VcpuExit.Requested;
        if (vcpu.TakeEvent(EventBytes.CodeWritten))
        {
            vcpu.Blocks.DropWritten();
        }

        return vcpu.TakeEvent(EventBytes.Stop) || vcpu.State->Activity != 0;
    }
}
