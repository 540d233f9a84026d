using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Interrupts;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>PUSHF, POPF, CLI, STI, CLAC, STAC. Spec: SDM volume 2; volume 3, 20.3 (VME) and 20.4 (PVI).</summary>
internal static unsafe class FlagsRegister
{
    private const ulong AlwaysWritable = Rflags.Arithmetic | Rflags.Trap | Rflags.Direction | Rflags.NestedTask
        | Rflags.AlignmentCheck | Rflags.Identification;

    internal static void Define(TableBuilder table)
    {
        table.Define(Mnemonic.Pushf, InstructionTraits.None, &LowerPush);
        table.Define(Mnemonic.Pushfd, InstructionTraits.None, &LowerPush);
        table.Define(Mnemonic.Pushfq, InstructionTraits.None, &LowerPush);
        table.Define(Mnemonic.Popf, InstructionTraits.EndsBlock, &LowerPop);
        table.Define(Mnemonic.Popfd, InstructionTraits.EndsBlock, &LowerPop);
        table.Define(Mnemonic.Popfq, InstructionTraits.EndsBlock, &LowerPop);
        table.Define(Mnemonic.Cli, InstructionTraits.System, &LowerInterruptFlag);
        table.Define(Mnemonic.Sti, InstructionTraits.EndsBlock | InstructionTraits.System, &LowerInterruptFlag);
        table.Define(Mnemonic.Clac, InstructionTraits.System, &LowerAccess);
        table.Define(Mnemonic.Stac, InstructionTraits.System, &LowerAccess);
    }

    private static void LowerPush(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->OperandBytes = Width(instruction.Mnemonic);
        op->Execute = &Push;
    }

    private static void LowerPop(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->OperandBytes = Width(instruction.Mnemonic);
        op->Execute = &Pop;
    }

    private static byte Width(Mnemonic mnemonic) => mnemonic switch
    {
        Mnemonic.Pushf or Mnemonic.Popf => 2,
        Mnemonic.Pushfd or Mnemonic.Popfd => 4,
        _ => 8,
    };

    private static void LowerInterruptFlag(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = instruction.Mnemonic == Mnemonic.Cli ? &ClearInterrupt : &SetInterrupt;

    private static void LowerAccess(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->Extra = instruction.Mnemonic == Mnemonic.Stac ? (byte)1 : (byte)0;
        op->Execute = context.Vcpu.Features.Has(Identification.CpuFeature.Smap) ? &SetAccess : null;
    }

    private static ulong IoPrivilege(CpuState* state)
        => (state->Rflags & Rflags.IoPrivilege) >> Rflags.IoPrivilegeShift;

    private static Outcome Push(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        ulong image = ArithmeticFlags.Read(state) & ~(Rflags.Resume | Rflags.Virtual8086);
        if (vcpu.Segments.IsVirtual8086 && IoPrivilege(state) < 3)
        {
            bool hasExtensions = (state->Cr4 & Cr4.Virtual8086Extensions) != 0;
            if (!hasExtensions || op->OperandBytes != 2)
            {
                return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
            }

            bool isOn = (image & Rflags.VirtualInterrupt) != 0;
            image = (image & ~Rflags.Interrupt) | Rflags.IoPrivilege | (isOn ? Rflags.Interrupt : 0);
        }

        return vcpu.Stack.TryPush(op->OperandBytes, image) ? Outcome.Next : Outcome.Fault;
    }

    private static Outcome Pop(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        ulong privilege = IoPrivilege(state);
        bool isConfined = vcpu.Segments.IsVirtual8086 && privilege < 3;
        bool hasExtensions = (state->Cr4 & Cr4.Virtual8086Extensions) != 0;
        if (isConfined && (!hasExtensions || op->OperandBytes != 2))
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        if (!vcpu.Stack.TryPeek(op->OperandBytes, 0, out ulong value))
        {
            return Outcome.Fault;
        }

        ulong current = ArithmeticFlags.Materialize(state);
        bool wantsInterrupts = (value & Rflags.Interrupt) != 0;
        bool isPending = (current & Rflags.VirtualInterruptPending) != 0;
        if (isConfined && ((wantsInterrupts && isPending) || (value & Rflags.Trap) != 0))
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        ulong writable = AlwaysWritable;
        if (!isConfined && state->Cpl <= privilege)
        {
            writable |= Rflags.Interrupt;
        }

        if (state->Cpl == 0)
        {
            writable |= Rflags.IoPrivilege;
        }

        if (op->OperandBytes == 2)
        {
            writable &= 0xFFFF;
        }

        ulong next = (current & ~(writable | Rflags.Resume)) | (value & writable);
        if (isConfined)
        {
            next = (next & ~Rflags.VirtualInterrupt) | (wantsInterrupts ? Rflags.VirtualInterrupt : 0);
        }

        vcpu.Mmu.AddToStackPointer(op->OperandBytes);
        state->Rflags = next;
        vcpu.Mmu.UpdateMode(); // AC
        vcpu.Events.OnFlagsChanged();
        return Outcome.EndBlock;
    }

    // Which flag CLI and STI work on: IF, VIF (VME or PVI), or none (#GP).
    private static ulong Controlled(Vcpu vcpu)
    {
        CpuState* state = vcpu.State;
        if (!vcpu.Segments.IsProtected || state->Cpl <= IoPrivilege(state))
        {
            return Rflags.Interrupt;
        }

        ulong extension = vcpu.Segments.IsVirtual8086 ? Cr4.Virtual8086Extensions : Cr4.ProtectedVirtualInterrupts;
        return state->Cpl == 3 && (state->Cr4 & extension) != 0 ? Rflags.VirtualInterrupt : 0;
    }

    private static Outcome ClearInterrupt(Vcpu vcpu, Operation* op)
    {
        ulong flag = Controlled(vcpu);
        if (flag == 0)
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        vcpu.State->Rflags &= ~flag;
        return Outcome.Next;
    }

    private static Outcome SetInterrupt(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        ulong flag = Controlled(vcpu);
        bool isBlocked = flag == Rflags.VirtualInterrupt && (state->Rflags & Rflags.VirtualInterruptPending) != 0;
        if (flag == 0 || isBlocked)
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        bool opens = flag == Rflags.Interrupt && (state->Rflags & Rflags.Interrupt) == 0;
        state->Rflags |= flag;
        if (opens)
        {
            vcpu.Events.BeginShadow(InterruptShadow.Sti);
        }

        vcpu.Events.OnFlagsChanged();
        return Outcome.EndBlock;
    }

    private static Outcome SetAccess(Vcpu vcpu, Operation* op)
    {
        if (vcpu.State->Cpl != 0)
        {
            return vcpu.Raise(ExceptionVector.InvalidOpcode);
        }

        vcpu.State->Rflags = op->Extra != 0
            ? vcpu.State->Rflags | Rflags.AlignmentCheck
            : vcpu.State->Rflags & ~Rflags.AlignmentCheck;
        vcpu.Mmu.UpdateMode();
        return Outcome.Next;
    }
}
