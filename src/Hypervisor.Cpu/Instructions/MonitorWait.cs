using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Identification;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>MONITOR and MWAIT. Spec: SDM volume 2, MONITOR, MWAIT.</summary>
internal static unsafe class MonitorWait
{
    private const int Rcx = 1;
    private const ulong BreaksOnInterrupt = 1;

    internal static void Define(TableBuilder table)
    {
        table.Define(Mnemonic.Monitor, InstructionTraits.System, &LowerMonitor);
        table.Define(Mnemonic.Mwait, InstructionTraits.EndsBlock | InstructionTraits.System, &LowerWait);
    }

    // Iced lists no operand: the address is [DS:rAX], with the usual prefixes.
    private static void LowerMonitor(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->Base = OperandLowering.RegisterSlot(Register.RAX);
        op->AddressBytes = instruction.Code switch { Code.Monitorw => 2, Code.Monitord => 4, _ => 8 };
        Register prefix = instruction.SegmentPrefix;
        bool isDefault = prefix == Register.None || (context.Is64Bit && prefix is not (Register.FS or Register.GS));
        OperandLowering.LowerSegment(isDefault ? Register.DS : prefix, context.CodeMode, op);
        op->Execute = context.Vcpu.Features.Has(CpuFeature.Monitor) ? &Monitor : null;
    }

    private static void LowerWait(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = context.Vcpu.Features.Has(CpuFeature.Monitor) ? &Wait : null;

    private static bool IsUndefined(Vcpu vcpu) => vcpu.State->Cpl != 0 || !vcpu.Msrs.IsMonitorEnabled;

    private static ulong Extensions(CpuState* state) => state->CodeMode == 2 ? state->Gpr[Rcx] : (uint)state->Gpr[Rcx];

    private static Outcome Monitor(Vcpu vcpu, Operation* op)
    {
        if (IsUndefined(vcpu))
        {
            return vcpu.Raise(ExceptionVector.InvalidOpcode);
        }

        if (Extensions(vcpu.State) != 0)
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        byte* host = vcpu.Mmu.BeginRead(op, 1);
        if (host == null)
        {
            return Outcome.Fault;
        }

        vcpu.Monitor.Arm(host);
        return Outcome.Next;
    }

    // EAX is a hint about power, and there is none to save beyond the wait itself.
    private static Outcome Wait(Vcpu vcpu, Operation* op)
    {
        if (IsUndefined(vcpu))
        {
            return vcpu.Raise(ExceptionVector.InvalidOpcode);
        }

        ulong extensions = Extensions(vcpu.State);
        if ((extensions & ~BreaksOnInterrupt) != 0)
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        return vcpu.Monitor.TryWait(extensions == BreaksOnInterrupt) ? Outcome.EndBlock : Outcome.Next;
    }
}
