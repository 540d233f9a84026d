using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>Far JMP, CALL, RET, and the instructions that go through the IDT or come back from it.</summary>
/// <remarks>Spec: SDM volume 2, JMP, CALL, RET, INT n, IRET.</remarks>
internal static unsafe class FarControl
{
    internal static void Define(TableBuilder table)
    {
        table.Define(Mnemonic.Retf, InstructionTraits.EndsBlock, &LowerReturn);
        table.Define(Mnemonic.Iret, InstructionTraits.EndsBlock, &LowerInterruptReturn);
        table.Define(Mnemonic.Iretd, InstructionTraits.EndsBlock, &LowerInterruptReturn);
        table.Define(Mnemonic.Iretq, InstructionTraits.EndsBlock, &LowerInterruptReturn);
        table.Define(Mnemonic.Int, InstructionTraits.EndsBlock, &LowerInterrupt);
        table.Define(Mnemonic.Int1, InstructionTraits.EndsBlock, &LowerInterrupt);
        table.Define(Mnemonic.Int3, InstructionTraits.EndsBlock, &LowerInterrupt);
        table.Define(Mnemonic.Into, InstructionTraits.EndsBlock, &LowerInterrupt);
    }

    /// <summary>Lowers a far JMP.</summary>
    internal static void LowerJump(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = LowerTarget(instruction, op) ? &JumpDirect : &JumpIndirect;

    /// <summary>Lowers a far CALL.</summary>
    internal static void LowerCall(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = LowerTarget(instruction, op) ? &CallDirect : &CallIndirect;

    // Direct: offset in Immediate, selector in Displacement. Both: width of the offset in OperandBytes.
    private static bool LowerTarget(in Instruction instruction, Operation* op)
    {
        switch (instruction.Code)
        {
            case Code.Jmp_ptr1616 or Code.Call_ptr1616:
                op->Immediate = instruction.FarBranch16;
                op->Displacement = instruction.FarBranchSelector;
                op->OperandBytes = 2;
                return true;
            case Code.Jmp_ptr1632 or Code.Call_ptr1632:
                op->Immediate = instruction.FarBranch32;
                op->Displacement = instruction.FarBranchSelector;
                op->OperandBytes = 4;
                return true;
            default:
                op->OperandBytes = instruction.Code switch
                {
                    Code.Jmp_m1616 or Code.Call_m1616 => 2,
                    Code.Jmp_m1632 or Code.Call_m1632 => 4,
                    _ => 8,
                };
                return false;
        }
    }

    private static bool TryReadTarget(Vcpu vcpu, Operation* op, out ushort selector, out ulong offset)
    {
        selector = 0;
        offset = 0;
        byte* pointer = vcpu.Mmu.BeginRead(op, op->OperandBytes + 2);
        if (pointer == null)
        {
            return false;
        }

        offset = op->OperandBytes switch
        {
            2 => *(ushort*)pointer,
            4 => *(uint*)pointer,
            _ => *(ulong*)pointer,
        };
        selector = *(ushort*)(pointer + op->OperandBytes);
        return true;
    }

    private static Outcome JumpDirect(Vcpu vcpu, Operation* op)
        => End(vcpu.Transfers.TryJump((ushort)op->Displacement, op->Immediate, op->OperandBytes));

    private static Outcome CallDirect(Vcpu vcpu, Operation* op)
        => End(vcpu.Transfers.TryCall((ushort)op->Displacement, op->Immediate, op->OperandBytes));

    private static Outcome JumpIndirect(Vcpu vcpu, Operation* op)
        => End(TryReadTarget(vcpu, op, out ushort selector, out ulong offset)
            && vcpu.Transfers.TryJump(selector, offset, op->OperandBytes));

    private static Outcome CallIndirect(Vcpu vcpu, Operation* op)
        => End(TryReadTarget(vcpu, op, out ushort selector, out ulong offset)
            && vcpu.Transfers.TryCall(selector, offset, op->OperandBytes));

    private static void LowerReturn(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->OperandBytes = instruction.Code switch
        {
            Code.Retfw or Code.Retfw_imm16 => 2,
            Code.Retfd or Code.Retfd_imm16 => 4,
            _ => 8,
        };
        op->Execute = &Return;
    }

    private static Outcome Return(Vcpu vcpu, Operation* op)
        => End(vcpu.Returns.TryReturn(op->OperandBytes, (ushort)op->Immediate));

    private static void LowerInterruptReturn(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->OperandBytes = instruction.Mnemonic switch
        {
            Mnemonic.Iret => 2,
            Mnemonic.Iretd => 4,
            _ => 8,
        };
        op->Execute = &InterruptReturn;
    }

    private static Outcome InterruptReturn(Vcpu vcpu, Operation* op)
    {
        if (!vcpu.Returns.TryInterruptReturn(op->OperandBytes))
        {
            return Outcome.Fault;
        }

        vcpu.Events.OnInterruptReturn();
        return Outcome.EndBlock;
    }

    private static void LowerInterrupt(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = instruction.Mnemonic switch
        {
            Mnemonic.Int => &Interrupt,
            Mnemonic.Int1 => &Icebp,
            Mnemonic.Int3 => &Breakpoint,
            _ => &Overflow,
        };

    private static Outcome Interrupt(Vcpu vcpu, Operation* op)
    {
        byte vector = (byte)op->Immediate;
        return vcpu.Segments.IsVirtual8086
            ? End(vcpu.Virtual.TryInterrupt(vector))
            : End(vcpu.Exceptions.TryDeliverSoftware(vector));
    }

    private static Outcome Breakpoint(Vcpu vcpu, Operation* op)
        => End(vcpu.Exceptions.TryDeliverSoftware(ExceptionVector.Breakpoint));

    private static Outcome Icebp(Vcpu vcpu, Operation* op) => End(vcpu.Exceptions.TryDeliverIcebp());

    private static Outcome Overflow(Vcpu vcpu, Operation* op)
        => ArithmeticFlags.Overflow(vcpu.State)
            ? End(vcpu.Exceptions.TryDeliverSoftware(ExceptionVector.Overflow))
            : Outcome.EndBlock;

    private static Outcome End(bool done) => done ? Outcome.EndBlock : Outcome.Fault;
}
