using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Segmentation;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>LGDT, LIDT, SGDT, SIDT, LLDT, LTR, SLDT, STR. Spec: SDM volume 2; volume 3, 2.4, 7.2.</summary>
internal static unsafe class SystemTables
{
    internal static void Define(TableBuilder table)
    {
        table.Define(Mnemonic.Lgdt, InstructionTraits.System, &LowerTable);
        table.Define(Mnemonic.Lidt, InstructionTraits.System, &LowerTable);
        table.Define(Mnemonic.Sgdt, InstructionTraits.System, &LowerTable);
        table.Define(Mnemonic.Sidt, InstructionTraits.System, &LowerTable);
        table.Define(Mnemonic.Lldt, InstructionTraits.System, &LowerSelector);
        table.Define(Mnemonic.Ltr, InstructionTraits.System, &LowerSelector);
        table.Define(Mnemonic.Sldt, InstructionTraits.System, &LowerSelector);
        table.Define(Mnemonic.Str, InstructionTraits.System, &LowerSelector);
    }

    /// <summary>CR4.UMIP forbids user code to look at system registers.</summary>
    internal static bool IsPrevented(CpuState* state)
        => state->Cpl != 0 && (state->Cr4 & Cr4.UserModeInstructionPrevention) != 0;

    // OperandBytes: 3, 4 or 8 bytes of base.
    private static void LowerTable(LoweringContext context, in Instruction instruction, Operation* op)
    {
        bool isNarrow = instruction.Code is Code.Lgdt_m1632_16 or Code.Lidt_m1632_16;
        op->OperandBytes = context.Is64Bit ? (byte)8 : isNarrow ? (byte)3 : (byte)4;
        op->Execute = instruction.Mnemonic switch
        {
            Mnemonic.Lgdt => &LoadGlobalTable,
            Mnemonic.Lidt => &LoadInterruptTable,
            Mnemonic.Sgdt => &StoreGlobalTable,
            _ => &StoreInterruptTable,
        };
    }

    private static void LowerSelector(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->OperandBytes = op->HasMemory ? (byte)2 : (byte)instruction.Op0Register.GetSize();
        op->Execute = instruction.Mnemonic switch
        {
            Mnemonic.Lldt => &LoadLocalTable,
            Mnemonic.Ltr => &LoadTask,
            Mnemonic.Sldt => &StoreLocalTable,
            _ => &StoreTask,
        };
    }

    private static Outcome LoadGlobalTable(Vcpu vcpu, Operation* op) => LoadTable(vcpu, op, ref vcpu.State->Gdtr);

    private static Outcome LoadInterruptTable(Vcpu vcpu, Operation* op) => LoadTable(vcpu, op, ref vcpu.State->Idtr);

    private static Outcome StoreGlobalTable(Vcpu vcpu, Operation* op) => StoreTable(vcpu, op, vcpu.State->Gdtr);

    private static Outcome StoreInterruptTable(Vcpu vcpu, Operation* op) => StoreTable(vcpu, op, vcpu.State->Idtr);

    private static Outcome LoadTable(Vcpu vcpu, Operation* op, ref Segment table)
    {
        if (vcpu.State->Cpl != 0)
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        byte* data = vcpu.Mmu.BeginRead(op, op->OperandBytes == 8 ? 10 : 6);
        if (data == null)
        {
            return Outcome.Fault;
        }

        ushort limit = *(ushort*)data;
        ulong address = op->OperandBytes == 8 ? *(ulong*)(data + 2)
            : op->OperandBytes == 4 ? *(uint*)(data + 2) : *(uint*)(data + 2) & 0xFF_FFFF;
        if (op->OperandBytes == 8 && !StackFrame.IsCanonical(address))
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        table.Base = address;
        table.Limit = limit;
        return Outcome.Next;
    }

    private static Outcome StoreTable(Vcpu vcpu, Operation* op, in Segment table)
    {
        if (IsPrevented(vcpu.State))
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        byte* data = vcpu.Mmu.BeginWrite(op, op->OperandBytes == 8 ? 10 : 6, keep: false);
        if (data == null)
        {
            return Outcome.Fault;
        }

        *(ushort*)data = (ushort)table.Limit;
        if (op->OperandBytes == 8)
        {
            *(ulong*)(data + 2) = table.Base;
        }
        else
        {
            *(uint*)(data + 2) = (uint)table.Base;
        }

        vcpu.Mmu.EndWrite(data);
        return Outcome.Next;
    }

    // LLDT and LTR: #UD outside protected mode, #GP(0) outside ring 0.
    private static bool TrySelector(Vcpu vcpu, Operation* op, out ushort selector)
    {
        selector = 0;
        if (vcpu.Segments.IsParagraphMode)
        {
            vcpu.Raise(ExceptionVector.InvalidOpcode);
            return false;
        }

        if (vcpu.State->Cpl != 0)
        {
            vcpu.Raise(ExceptionVector.GeneralProtection, 0);
            return false;
        }

        if (op->HasMemory)
        {
            return vcpu.Mmu.TryRead(op, out selector);
        }

        selector = Operands.Get<ushort>(vcpu.State, op->Destination);
        return true;
    }

    private static Outcome LoadLocalTable(Vcpu vcpu, Operation* op)
    {
        if (!TrySelector(vcpu, op, out ushort selector))
        {
            return Outcome.Fault;
        }

        SegmentUnit segments = vcpu.Segments;
        ref Segment register = ref vcpu.State->Segments[SegmentRegister.Ldtr];
        if ((selector & 0xFFFC) == 0)
        {
            register = SegmentUnit.Null(selector);
            return Outcome.Next;
        }

        if ((selector & 4) != 0)
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, selector & 0xFFFCu);
        }

        if (!segments.TryReadSystem(selector, ExceptionVector.GeneralProtection, out Descriptor table))
        {
            return Outcome.Fault;
        }

        if (!table.IsSystem || table.Type != SystemType.Ldt)
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, selector & 0xFFFCu);
        }

        if (!table.IsPresent)
        {
            return vcpu.Raise(ExceptionVector.SegmentNotPresent, selector & 0xFFFCu);
        }

        register = table.ToSegment(selector);
        return Outcome.Next;
    }

    private static Outcome LoadTask(Vcpu vcpu, Operation* op)
    {
        if (!TrySelector(vcpu, op, out ushort selector))
        {
            return Outcome.Fault;
        }

        if ((selector & 0xFFFC) == 0)
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        if ((selector & 4) != 0)
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, selector & 0xFFFCu);
        }

        SegmentUnit segments = vcpu.Segments;
        if (!segments.TryReadSystem(selector, ExceptionVector.GeneralProtection, out Descriptor task))
        {
            return Outcome.Fault;
        }

        bool isTss = task.IsSystem
            && (task.Type == SystemType.Tss32 || (task.Type == SystemType.Tss16 && vcpu.State->LongMode == 0));
        if (!isTss)
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, selector & 0xFFFCu);
        }

        if (!task.IsPresent)
        {
            return vcpu.Raise(ExceptionVector.SegmentNotPresent, selector & 0xFFFCu);
        }

        if (!segments.TryWriteType(selector, task, task.Type | SystemType.Busy))
        {
            return Outcome.Fault;
        }

        Segment register = task.ToSegment(selector);
        register.Attributes |= SystemType.Busy;
        vcpu.State->Segments[SegmentRegister.Tr] = register;
        return Outcome.Next;
    }

    private static Outcome StoreLocalTable(Vcpu vcpu, Operation* op) => StoreSelector(vcpu, op, SegmentRegister.Ldtr);

    private static Outcome StoreTask(Vcpu vcpu, Operation* op) => StoreSelector(vcpu, op, SegmentRegister.Tr);

    private static Outcome StoreSelector(Vcpu vcpu, Operation* op, int register)
    {
        if (vcpu.Segments.IsParagraphMode)
        {
            return vcpu.Raise(ExceptionVector.InvalidOpcode);
        }

        if (IsPrevented(vcpu.State))
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        ushort selector = vcpu.State->Segments[register].Selector;
        if (op->HasMemory)
        {
            return vcpu.Mmu.TryWrite(op, selector) ? Outcome.Next : Outcome.Fault;
        }

        if (op->OperandBytes == 2)
        {
            Operands.Set(vcpu.State, op->Destination, selector);
        }
        else
        {
            Operands.Set(vcpu.State, op->Destination, (uint)selector);
        }

        return Outcome.Next;
    }
}
