using Hypervisor.Cpu;
using Hypervisor.Cpu.State;
using Hypervisor.Machine.Boot;

namespace Hypervisor.Machine;

/// <summary>A boot plan in the vCPU's words.</summary>
internal static class InitialStates
{
    internal static InitialState Of(BootPlan plan) => new()
    {
        Rip = plan.Rip,
        Rsp = plan.Rsp,
        Rax = plan.Rax,
        Rbx = plan.Rbx,
        Rdx = plan.Rdx,
        Rsi = plan.Rsi,
        Cr0 = plan.Cr0,
        Cr3 = plan.Cr3,
        Cr4 = plan.Cr4,
        Efer = plan.Efer,
        GdtBase = plan.Gdt.Base,
        GdtLimit = plan.Gdt.Limit,
        IdtBase = plan.Idt.Base,
        IdtLimit = plan.Idt.Limit,
        Cs = Of(plan.Cs),
        Ss = Of(plan.Data),
        Ds = Of(plan.Data),
        Es = Of(plan.Data),
        Fs = Of(plan.Data),
        Gs = Of(plan.Data),
        Ldtr = Of(plan.Ldtr),
        Tr = Of(plan.Tr),
    };

    private static Segment Of(BootSegment segment) => new()
    {
        Selector = segment.Selector,
        Base = segment.Base,
        Limit = segment.Limit,
        Attributes = segment.Attributes,
    };
}
