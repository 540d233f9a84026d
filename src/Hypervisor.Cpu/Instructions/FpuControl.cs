using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>x87 control instructions: they touch the control, status and tag words only.</summary>
/// <remarks>Spec: SDM volume 1, 8.3.11; volume 2 each.</remarks>
internal static unsafe class FpuControl
{
    private const int RaxSlot = 0;

    internal static void Define(TableBuilder table)
    {
        table.Define(Mnemonic.Fninit, InstructionTraits.None, &LowerInitialize);
        table.Define(Mnemonic.Fnclex, InstructionTraits.None, &LowerClear);
        table.Define(Mnemonic.Fnop, InstructionTraits.None, &LowerNop);
        table.Define(Mnemonic.Wait, InstructionTraits.None, &LowerWait);
        table.Define(Mnemonic.Fnstcw, InstructionTraits.None, &LowerStoreControl);
        table.Define(Mnemonic.Fldcw, InstructionTraits.None, &LowerLoadControl);
        table.Define(Mnemonic.Fnstsw, InstructionTraits.None, &LowerStoreStatus);
        table.Define(Mnemonic.Emms, InstructionTraits.None, &LowerEmms);

        // 8087 and 287 leftovers that later CPUs ignore.
        table.Define(Mnemonic.Fneni, InstructionTraits.None, &LowerIgnored);
        table.Define(Mnemonic.Fndisi, InstructionTraits.None, &LowerIgnored);
        table.Define(Mnemonic.Fnsetpm, InstructionTraits.None, &LowerIgnored);
    }

    private static void LowerInitialize(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = &Initialize;

    private static void LowerClear(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = &Clear;

    private static void LowerNop(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = &Nothing;

    private static void LowerWait(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = &Wait;

    private static void LowerStoreControl(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = &StoreControl;

    private static void LowerLoadControl(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = &LoadControl;

    private static void LowerStoreStatus(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = op->HasMemory ? &StoreStatus : &StatusToAx;

    private static void LowerEmms(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = &Emms;

    private static void LowerIgnored(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = &Ignore;

    private static Outcome Initialize(Vcpu vcpu, Operation* op)
    {
        if (!HostChecks.IsFpuEnabled(vcpu))
        {
            return Outcome.Fault;
        }

        FpuImage.Initialize(vcpu.State);
        return Outcome.Next;
    }

    private static Outcome Clear(Vcpu vcpu, Operation* op)
    {
        if (!HostChecks.IsFpuEnabled(vcpu))
        {
            return Outcome.Fault;
        }

        FpuImage.Status(vcpu.State) &= 0x7F00; // exceptions, stack fault, ES, B
        return Outcome.Next;
    }

    private static Outcome Nothing(Vcpu vcpu, Operation* op)
    {
        if (!HostChecks.IsFpuEnabled(vcpu) || !HostChecks.IsFpuQuiet(vcpu))
        {
            return Outcome.Fault;
        }

        FpuImage.InstructionPointer(vcpu.State) = vcpu.State->Rip - op->Length;
        return Outcome.Next;
    }

    private static Outcome Ignore(Vcpu vcpu, Operation* op)
        => HostChecks.IsFpuEnabled(vcpu) ? Outcome.Next : Outcome.Fault;

    private static Outcome Wait(Vcpu vcpu, Operation* op)
    {
        const ulong Both = Cr0.MonitorCoprocessor | Cr0.TaskSwitched;
        if ((vcpu.State->Cr0 & Both) == Both)
        {
            return vcpu.Raise(ExceptionVector.DeviceNotAvailable);
        }

        return HostChecks.IsFpuQuiet(vcpu) ? Outcome.Next : Outcome.Fault;
    }

    private static Outcome StoreControl(Vcpu vcpu, Operation* op)
        => HostChecks.IsFpuEnabled(vcpu) && vcpu.Mmu.TryWrite(op, FpuImage.Control(vcpu.State))
            ? Outcome.Next
            : Outcome.Fault;

    private static Outcome LoadControl(Vcpu vcpu, Operation* op)
    {
        if (!HostChecks.IsFpuEnabled(vcpu)
            || !HostChecks.IsFpuQuiet(vcpu)
            || !vcpu.Mmu.TryRead(op, out ushort control))
        {
            return Outcome.Fault;
        }

        FpuImage.Control(vcpu.State) = FpuImage.Canonical(control);
        FpuImage.UpdateSummary(vcpu.State);
        return Outcome.Next;
    }

    private static Outcome StoreStatus(Vcpu vcpu, Operation* op)
        => HostChecks.IsFpuEnabled(vcpu) && vcpu.Mmu.TryWrite(op, FpuImage.Status(vcpu.State))
            ? Outcome.Next
            : Outcome.Fault;

    private static Outcome StatusToAx(Vcpu vcpu, Operation* op)
    {
        if (!HostChecks.IsFpuEnabled(vcpu))
        {
            return Outcome.Fault;
        }

        *(ushort*)((byte*)vcpu.State + RaxSlot) = FpuImage.Status(vcpu.State);
        return Outcome.Next;
    }

    private static Outcome Emms(Vcpu vcpu, Operation* op)
    {
        if (!HostChecks.IsEnabled(vcpu, HostUnit.Mmx))
        {
            return Outcome.Fault;
        }

        FpuImage.EnterMmx(vcpu.State);
        FpuImage.Tags(vcpu.State) = 0;
        return Outcome.Next;
    }
}
