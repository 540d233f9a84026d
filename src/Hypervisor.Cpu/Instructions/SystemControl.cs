using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Identification;
using Hypervisor.Cpu.Segmentation;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>HLT, CLTS, LMSW, SMSW, TLB and cache control, XGETBV, XSETBV. Spec: SDM volume 2.</summary>
internal static unsafe class SystemControl
{
    internal static void Define(TableBuilder table)
    {
        const InstructionTraits Ends = InstructionTraits.EndsBlock | InstructionTraits.System;
        const InstructionTraits Stays = InstructionTraits.System;
        table.Define(Mnemonic.Hlt, Ends, &LowerSimple);
        table.Define(Mnemonic.Clts, Ends, &LowerSimple);
        table.Define(Mnemonic.Lmsw, Ends, &LowerStatusWord);
        table.Define(Mnemonic.Smsw, Stays, &LowerStatusWord);
        table.Define(Mnemonic.Invlpg, Ends, &LowerSimple);
        table.Define(Mnemonic.Invpcid, Ends, &LowerSimple);
        table.Define(Mnemonic.Invd, Stays, &LowerSimple);
        table.Define(Mnemonic.Wbinvd, Stays, &LowerSimple);
        table.Define(Mnemonic.Wbnoinvd, Stays, &LowerSimple);
        table.Define(Mnemonic.Clflush, InstructionTraits.None, &LowerLine);
        table.Define(Mnemonic.Clflushopt, InstructionTraits.None, &LowerLine);
        table.Define(Mnemonic.Xgetbv, Stays, &LowerSimple);
        table.Define(Mnemonic.Xsetbv, Ends, &LowerSimple);
    }

    private static void LowerSimple(LoweringContext context, in Instruction instruction, Operation* op)
    {
        CpuFeatures features = context.Vcpu.Features;
        bool hasXsave = features.Has(CpuFeature.Xsave);
        op->Execute = instruction.Mnemonic switch
        {
            Mnemonic.Hlt => &Halt,
            Mnemonic.Clts => &ClearTaskSwitched,
            Mnemonic.Invlpg => &InvalidatePage,
            Mnemonic.Invpcid => features.Has(CpuFeature.Invpcid) ? &InvalidateContext : null,
            Mnemonic.Xgetbv => hasXsave ? &ReadExtendedControl : null,
            Mnemonic.Xsetbv => hasXsave ? &WriteExtendedControl : null,
            _ => &FlushCaches,
        };
    }

    private static void LowerStatusWord(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->OperandBytes = op->HasMemory ? (byte)2 : (byte)instruction.Op0Register.GetSize();
        op->Execute = instruction.Mnemonic == Mnemonic.Lmsw ? &LoadStatusWord : &StoreStatusWord;
    }

    private static void LowerLine(LoweringContext context, in Instruction instruction, Operation* op)
    {
        bool exists = instruction.Mnemonic == Mnemonic.Clflush
            || context.Vcpu.Features.Has(CpuFeature.Clflushopt);
        op->Execute = exists ? &FlushLine : null;
    }

    private static Outcome Halt(Vcpu vcpu, Operation* op)
    {
        if (vcpu.State->Cpl != 0)
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        vcpu.Events.Halt();
        return Outcome.EndBlock;
    }

    private static Outcome ClearTaskSwitched(Vcpu vcpu, Operation* op)
    {
        if (vcpu.State->Cpl != 0)
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        vcpu.State->Cr0 &= ~Cr0.TaskSwitched;
        return Outcome.EndBlock;
    }

    private static Outcome LoadStatusWord(Vcpu vcpu, Operation* op)
    {
        if (vcpu.State->Cpl != 0)
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        ushort value;
        if (!op->HasMemory)
        {
            value = Operands.Get<ushort>(vcpu.State, op->Destination);
        }
        else if (!vcpu.Mmu.TryRead(op, out value))
        {
            return Outcome.Fault;
        }

        return vcpu.Control.TryLoadStatusWord(value) ? Outcome.EndBlock : Outcome.Fault;
    }

    private static Outcome StoreStatusWord(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        if (SystemTables.IsPrevented(state))
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        switch (op->OperandBytes)
        {
            case 2 when op->HasMemory:
                return vcpu.Mmu.TryWrite(op, (ushort)state->Cr0) ? Outcome.Next : Outcome.Fault;
            case 2:
                Operands.Set(state, op->Destination, (ushort)state->Cr0);
                return Outcome.Next;
            default:
                Operands.Set(state, op->Destination, (uint)state->Cr0);
                return Outcome.Next;
        }
    }

    private static Outcome InvalidatePage(Vcpu vcpu, Operation* op)
    {
        if (vcpu.State->Cpl != 0)
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        // No limit or type is checked; a non-canonical address does nothing.
        ulong linear = vcpu.Mmu.EffectiveAddress(op);
        if (vcpu.State->CodeMode != 2)
        {
            linear = (uint)(linear + vcpu.State->Segments[op->Segment].Base);
        }
        else if (op->Segment >= SegmentRegister.Fs)
        {
            linear += vcpu.State->Segments[op->Segment].Base;
        }

        vcpu.Mmu.Tlb.FlushPage(linear);
        return Outcome.EndBlock;
    }

    // Spec: SDM volume 2, INVPCID. The TLB is not tagged, so every type may drop more than it names.
    private static Outcome InvalidateContext(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        if (state->Cpl != 0)
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        byte* data = vcpu.Mmu.BeginRead(op, 16);
        if (data == null)
        {
            return Outcome.Fault;
        }

        ulong pcid = *(ulong*)data;
        ulong linear = *(ulong*)(data + 8);
        ulong type = state->CodeMode == 2
            ? Operands.Get<ulong>(state, op->Destination)
            : Operands.Get<uint>(state, op->Destination);
        bool hasContexts = (state->Cr4 & Cr4.ProcessContextIdentifiers) != 0;
        bool namesContext = type <= 1;
        bool isWrong = type > 3
            || (namesContext && (pcid > 0xFFF || (pcid != 0 && !hasContexts)))
            || (type == 0 && !StackFrame.IsCanonical(linear));
        if (isWrong)
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        switch (type)
        {
            case 0:
                vcpu.Mmu.Tlb.FlushPage(linear);
                break;
            case 2:
                vcpu.Mmu.Tlb.FlushAll();
                break;
            default:
                vcpu.Mmu.Tlb.FlushNonGlobal();
                break;
        }

        return Outcome.EndBlock;
    }

    private static Outcome FlushCaches(Vcpu vcpu, Operation* op)
        => vcpu.State->Cpl == 0 ? Outcome.Next : vcpu.Raise(ExceptionVector.GeneralProtection, 0);

    // Caches are always coherent here; only the faults of a load remain.
    private static Outcome FlushLine(Vcpu vcpu, Operation* op)
        => vcpu.Mmu.TryRead<byte>(op, out _) ? Outcome.Next : Outcome.Fault;

    private static Outcome ReadExtendedControl(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        if ((state->Cr4 & Cr4.XsaveEnable) == 0)
        {
            return vcpu.Raise(ExceptionVector.InvalidOpcode);
        }

        uint index = (uint)state->Gpr[1];
        bool hasInUse = vcpu.Features.Has(CpuFeature.Xgetbv1);
        if (index > 1 || (index == 1 && !hasInUse))
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        // XCR1 is XINUSE: every enabled component may be in use, which is always a right answer.
        state->Gpr[0] = (uint)state->Xcr0;
        state->Gpr[2] = state->Xcr0 >> 32;
        return Outcome.Next;
    }

    private static Outcome WriteExtendedControl(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        if ((state->Cr4 & Cr4.XsaveEnable) == 0)
        {
            return vcpu.Raise(ExceptionVector.InvalidOpcode);
        }

        if (state->Cpl != 0 || (uint)state->Gpr[1] != 0)
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        ulong value = (uint)state->Gpr[0] | (state->Gpr[2] << 32);
        return vcpu.Control.TryWriteXcr0(value) ? Outcome.EndBlock : Outcome.Fault;
    }
}
