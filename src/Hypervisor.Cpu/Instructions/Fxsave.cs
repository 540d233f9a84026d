using System;
using System.Buffers.Binary;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Paging;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>FXSAVE, FXRSTOR, LDMXCSR, STMXCSR. Spec: SDM volume 1, 10.5; volume 2 each.</summary>
internal static unsafe class Fxsave
{
    private const int AlignmentMask = 15;
    private const int XmmAt = 160;
    private const int MxcsrAt = 24;

    internal static void Define(TableBuilder table)
    {
        table.Define(Mnemonic.Fxsave, InstructionTraits.None, &LowerSave);
        table.Define(Mnemonic.Fxsave64, InstructionTraits.None, &LowerSave);
        table.Define(Mnemonic.Fxrstor, InstructionTraits.None, &LowerRestore);
        table.Define(Mnemonic.Fxrstor64, InstructionTraits.None, &LowerRestore);
        table.Define(Mnemonic.Ldmxcsr, InstructionTraits.None, &LowerLoadMxcsr);
        table.Define(Mnemonic.Vldmxcsr, InstructionTraits.None, &LowerLoadMxcsr);
        table.Define(Mnemonic.Stmxcsr, InstructionTraits.None, &LowerStoreMxcsr);
        table.Define(Mnemonic.Vstmxcsr, InstructionTraits.None, &LowerStoreMxcsr);
    }

    private static void LowerSave(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->Extra = instruction.Mnemonic == Mnemonic.Fxsave64 ? (byte)1 : (byte)0;
        op->Execute = HostFeatures.IsOffered(context.Vcpu, instruction.Code) ? &Save : null;
    }

    private static void LowerRestore(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->Extra = instruction.Mnemonic == Mnemonic.Fxrstor64 ? (byte)1 : (byte)0;
        op->Execute = HostFeatures.IsOffered(context.Vcpu, instruction.Code) ? &Restore : null;
    }

    private static void LowerLoadMxcsr(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->Destination = (byte)(instruction.Mnemonic == Mnemonic.Ldmxcsr ? HostUnit.Sse : HostUnit.Avx);
        op->Execute = HostFeatures.IsOffered(context.Vcpu, instruction.Code) ? &LoadMxcsr : null;
    }

    private static void LowerStoreMxcsr(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->Destination = (byte)(instruction.Mnemonic == Mnemonic.Stmxcsr ? HostUnit.Sse : HostUnit.Avx);
        op->Execute = HostFeatures.IsOffered(context.Vcpu, instruction.Code) ? &StoreMxcsr : null;
    }

    private static Outcome Save(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        int length = XmmAt + (16 * ExtendedState.VectorCount(state));
        if (!TryAddress(vcpu, op, MemoryAccess.Write, out ulong linear)
            || !MemoryArea.TryProbeWrite(vcpu, linear, op->Segment, ExtendedState.LegacyBytes))
        {
            return Outcome.Fault;
        }

        Span<byte> area = stackalloc byte[ExtendedState.LegacyBytes];
        area.Clear();
        ExtendedState.SaveFpu(state, area, wide: op->Extra != 0);
        BinaryPrimitives.WriteUInt32LittleEndian(area[MxcsrAt..], state->Mxcsr);
        BinaryPrimitives.WriteUInt32LittleEndian(area[(MxcsrAt + 4)..], SimdExceptions.Defined);
        ExtendedState.MoveXmm(state, area[XmmAt..], isSaving: true);

        // The rest of the 512 bytes is left to software.
        return MemoryArea.TryWriteLinear(vcpu, linear, op->Segment, area[..length]) ? Outcome.Next : Outcome.Fault;
    }

    private static Outcome Restore(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        Span<byte> area = stackalloc byte[ExtendedState.LegacyBytes];
        if (!TryAddress(vcpu, op, MemoryAccess.Read, out ulong linear)
            || !MemoryArea.TryReadLinear(vcpu, linear, op->Segment, area))
        {
            return Outcome.Fault;
        }

        uint mxcsr = BinaryPrimitives.ReadUInt32LittleEndian(area[MxcsrAt..]);
        if ((mxcsr & ~SimdExceptions.Defined) != 0)
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        state->Mxcsr = mxcsr;
        ExtendedState.LoadFpu(state, area, wide: op->Extra != 0);
        ExtendedState.MoveXmm(state, area[XmmAt..], isSaving: false);
        return Outcome.Next;
    }

    private static bool TryAddress(Vcpu vcpu, Operation* op, MemoryAccess access, out ulong linear)
    {
        linear = 0;
        if (!HostChecks.IsFpuEnabled(vcpu)
            || !vcpu.Mmu.TryAddress(op, ExtendedState.LegacyBytes, access, out linear))
        {
            return false;
        }

        if ((linear & AlignmentMask) != 0)
        {
            vcpu.Raise(ExceptionVector.GeneralProtection, 0);
            return false;
        }

        return true;
    }

    private static Outcome LoadMxcsr(Vcpu vcpu, Operation* op)
    {
        if (!HostChecks.IsEnabled(vcpu, (HostUnit)op->Destination) || !vcpu.Mmu.TryRead(op, out uint mxcsr))
        {
            return Outcome.Fault;
        }

        if ((mxcsr & ~SimdExceptions.Defined) != 0)
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        vcpu.State->Mxcsr = mxcsr;
        return Outcome.Next;
    }

    private static Outcome StoreMxcsr(Vcpu vcpu, Operation* op)
        => HostChecks.IsEnabled(vcpu, (HostUnit)op->Destination) && vcpu.Mmu.TryWrite(op, vcpu.State->Mxcsr)
            ? Outcome.Next
            : Outcome.Fault;
}
