using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Interrupts;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>PUSH and POP of segment registers. Spec: SDM volume 2, PUSH, POP.</summary>
internal static unsafe class SegmentStack
{
    /// <summary>Lowers PUSH Sreg.</summary>
    internal static void LowerPush(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->Extra = OperandLowering.SegmentIndex(instruction.Op0Register);
        op->OperandBytes = (byte)-instruction.StackPointerIncrement;
        op->Execute = &Push;
    }

    /// <summary>Lowers POP Sreg.</summary>
    internal static void LowerPop(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->Extra = OperandLowering.SegmentIndex(instruction.Op0Register);
        op->OperandBytes = (byte)instruction.StackPointerIncrement;
        op->Execute = op->Extra == SegmentRegister.Cs ? null : &Pop;
    }

    // A wide push writes zeros above the selector; newer CPUs leave those bytes alone, which nobody may rely on.
    private static Outcome Push(Vcpu vcpu, Operation* op)
        => vcpu.Stack.TryPush(op->OperandBytes, vcpu.State->Segments[op->Extra].Selector)
            ? Outcome.Next
            : Outcome.Fault;

    private static Outcome Pop(Vcpu vcpu, Operation* op)
    {
        if (!vcpu.Mmu.TryPeek(0, out ushort selector))
        {
            return Outcome.Fault;
        }

        // POP SS: the pointer moves in the old stack's width.
        ulong before = vcpu.State->Gpr[4];
        vcpu.Mmu.AddToStackPointer(op->OperandBytes);
        if (!vcpu.Segments.TryLoad(op->Extra, selector))
        {
            vcpu.State->Gpr[4] = before;
            return Outcome.Fault;
        }

        if (op->Extra == SegmentRegister.Ss)
        {
            vcpu.Events.BeginShadow(InterruptShadow.MovSs);
        }

        return Outcome.EndBlock;
    }
}
