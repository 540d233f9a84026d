using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.State;
using Iced.Intel;
using static Hypervisor.Cpu.Instructions.Conditions;

namespace Hypervisor.Cpu.Instructions;

/// <summary>Near JMP, Jcc, CALL, RET, LOOP, JrCXZ. Spec: SDM volume 2; far forms are in FarControl.</summary>
internal static unsafe class ControlFlow
{
    private const InstructionTraits Branch = InstructionTraits.EndsBlock;

    private static readonly Mnemonic[] s_jumps =
    [
        Mnemonic.Jo, Mnemonic.Jno, Mnemonic.Jb, Mnemonic.Jae, Mnemonic.Je, Mnemonic.Jne, Mnemonic.Jbe, Mnemonic.Ja,
        Mnemonic.Js, Mnemonic.Jns, Mnemonic.Jp, Mnemonic.Jnp, Mnemonic.Jl, Mnemonic.Jge, Mnemonic.Jle, Mnemonic.Jg,
    ];

    internal static void Define(TableBuilder table)
    {
        foreach (Mnemonic jump in s_jumps)
        {
            table.Define(jump, Branch, &LowerConditional);
        }

        table.Define(Mnemonic.Jmp, Branch, &LowerJump);
        table.Define(Mnemonic.Call, Branch, &LowerCall);
        table.Define(Mnemonic.Ret, Branch, &LowerReturn);
        table.Define(Mnemonic.Loop, Branch, &LowerLoop);
        table.Define(Mnemonic.Loope, Branch, &LowerLoop);
        table.Define(Mnemonic.Loopne, Branch, &LowerLoop);
        table.Define(Mnemonic.Jcxz, Branch, &LowerLoop);
        table.Define(Mnemonic.Jecxz, Branch, &LowerLoop);
        table.Define(Mnemonic.Jrcxz, Branch, &LowerLoop);
    }

    // Operand size of a near branch: how far RIP reaches.
    private static byte TargetBytes(in Instruction instruction) => instruction.Op0Kind switch
    {
        OpKind.NearBranch16 => 2,
        OpKind.NearBranch32 => 4,
        OpKind.NearBranch64 => 8,
        _ => (byte)Operands.SizeOf(instruction, 0),
    };

    private static void LowerConditional(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->OperandBytes = TargetBytes(instruction);
        op->Extra = (byte)((int)instruction.ConditionCode - 1);
        op->Execute = op->OperandBytes != 8
            ? &JumpIfLegacy
            : op->Extra switch
            {
                0 => &JumpIf<IfOverflow>,
                1 => &JumpIf<Not<IfOverflow>>,
                2 => &JumpIf<IfBelow>,
                3 => &JumpIf<Not<IfBelow>>,
                4 => &JumpIf<IfZero>,
                5 => &JumpIf<Not<IfZero>>,
                6 => &JumpIf<IfBelowOrEqual>,
                7 => &JumpIf<Not<IfBelowOrEqual>>,
                8 => &JumpIf<IfSign>,
                9 => &JumpIf<Not<IfSign>>,
                10 => &JumpIf<IfParity>,
                11 => &JumpIf<Not<IfParity>>,
                12 => &JumpIf<IfLess>,
                13 => &JumpIf<Not<IfLess>>,
                14 => &JumpIf<IfLessOrEqual>,
                _ => &JumpIf<Not<IfLessOrEqual>>,
            };
    }

    private static Outcome JumpIf<TCondition>(Vcpu vcpu, Operation* op)
        where TCondition : struct, ICondition
    {
        if (!TCondition.Holds(vcpu.State))
        {
            return Outcome.Next;
        }

        vcpu.State->Rip += op->Immediate;
        return Outcome.EndBlock;
    }

    private static Outcome JumpIfLegacy(Vcpu vcpu, Operation* op)
        => ArithmeticFlags.Condition(vcpu.State, op->Extra) ? JumpRelative(vcpu, op) : Outcome.Next;

    private static void LowerJump(LoweringContext context, in Instruction instruction, Operation* op)
    {
        if (instruction.IsJmpFar || instruction.IsJmpFarIndirect)
        {
            FarControl.LowerJump(context, instruction, op);
            return;
        }

        op->OperandBytes = TargetBytes(instruction);
        op->Execute = instruction.Op0Kind switch
        {
            OpKind.Register => &JumpRegister,
            OpKind.Memory => &JumpMemory,
            OpKind.NearBranch64 => &Jump64,
            _ => &JumpRelative,
        };
    }

    private static Outcome Jump64(Vcpu vcpu, Operation* op)
    {
        vcpu.State->Rip += op->Immediate;
        return Outcome.EndBlock;
    }

    private static Outcome JumpRelative(Vcpu vcpu, Operation* op)
        => TryTarget(vcpu, vcpu.State->Rip + op->Immediate, op->OperandBytes);

    private static Outcome JumpRegister(Vcpu vcpu, Operation* op)
        => TryTarget(vcpu, *(ulong*)((byte*)vcpu.State + op->Destination), op->OperandBytes);

    private static Outcome JumpMemory(Vcpu vcpu, Operation* op)
        => TryReadTarget(vcpu, op, out ulong target) ? TryTarget(vcpu, target, op->OperandBytes) : Outcome.Fault;

    private static bool TryReadTarget(Vcpu vcpu, Operation* op, out ulong target)
    {
        bool isRead;
        switch (op->OperandBytes)
        {
            case 2:
                isRead = vcpu.Mmu.TryRead(op, out ushort narrow);
                target = narrow;
                return isRead;
            case 4:
                isRead = vcpu.Mmu.TryRead(op, out uint middle);
                target = middle;
                return isRead;
            default:
                return vcpu.Mmu.TryRead(op, out target);
        }
    }

    /// <summary>Sets RIP, or faults: outside CS's limit, or not canonical. Spec: SDM volume 2, "JMP".</summary>
    private static Outcome TryTarget(Vcpu vcpu, ulong target, int operandBytes)
    {
        if (!IsTarget(vcpu, ref target, operandBytes))
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        vcpu.State->Rip = target;
        return Outcome.EndBlock;
    }

    private static bool IsTarget(Vcpu vcpu, ref ulong target, int operandBytes)
    {
        if (operandBytes == 8)
        {
            return (ulong)((long)(target << 16) >> 16) == target;
        }

        target = operandBytes == 4 ? (uint)target : (ushort)target;
        return vcpu.State->CodeMode == 2 || target <= vcpu.State->Segments[SegmentRegister.Cs].Limit;
    }

    private static void LowerCall(LoweringContext context, in Instruction instruction, Operation* op)
    {
        if (instruction.IsCallFar || instruction.IsCallFarIndirect)
        {
            FarControl.LowerCall(context, instruction, op);
            return;
        }

        op->OperandBytes = TargetBytes(instruction);
        op->Execute = instruction.Op0Kind switch
        {
            OpKind.Register => &CallRegister,
            OpKind.Memory => &CallMemory,
            _ => &CallRelative,
        };
    }

    private static Outcome CallRelative(Vcpu vcpu, Operation* op) => Call(vcpu, vcpu.State->Rip + op->Immediate, op);

    private static Outcome CallRegister(Vcpu vcpu, Operation* op)
        => Call(vcpu, *(ulong*)((byte*)vcpu.State + op->Destination), op);

    private static Outcome CallMemory(Vcpu vcpu, Operation* op)
        => TryReadTarget(vcpu, op, out ulong target) ? Call(vcpu, target, op) : Outcome.Fault;

    private static Outcome Call(Vcpu vcpu, ulong target, Operation* op)
    {
        if (!IsTarget(vcpu, ref target, op->OperandBytes))
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        ulong next = vcpu.State->Rip;
        bool isPushed = op->OperandBytes switch
        {
            2 => vcpu.Mmu.TryPush((ushort)next),
            4 => vcpu.Mmu.TryPush((uint)next),
            _ => vcpu.Mmu.TryPush(next),
        };
        if (!isPushed)
        {
            return Outcome.Fault;
        }

        vcpu.State->Rip = target;
        return Outcome.EndBlock;
    }

    private static void LowerReturn(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->OperandBytes = instruction.Code switch
        {
            Code.Retnw or Code.Retnw_imm16 => 2,
            Code.Retnd or Code.Retnd_imm16 => 4,
            _ => 8,
        };
        op->Immediate = (ushort)op->Immediate; // bytes of parameters to release
        op->Execute = &Return;
    }

    private static Outcome Return(Vcpu vcpu, Operation* op)
    {
        ulong target;
        bool isRead;
        switch (op->OperandBytes)
        {
            case 2:
                isRead = vcpu.Mmu.TryPeek(0, out ushort narrow);
                target = narrow;
                break;
            case 4:
                isRead = vcpu.Mmu.TryPeek(0, out uint middle);
                target = middle;
                break;
            default:
                isRead = vcpu.Mmu.TryPeek(0, out target);
                break;
        }

        if (!isRead)
        {
            return Outcome.Fault;
        }

        if (!IsTarget(vcpu, ref target, op->OperandBytes))
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        vcpu.Mmu.AddToStackPointer(op->OperandBytes + (long)op->Immediate);
        vcpu.State->Rip = target;
        return Outcome.EndBlock;
    }

    private static void LowerLoop(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->OperandBytes = TargetBytes(instruction);
        op->AddressBytes = instruction.Code switch
        {
            Code.Loop_rel8_16_CX or Code.Loop_rel8_32_CX or Code.Loope_rel8_16_CX or Code.Loope_rel8_32_CX
                or Code.Loopne_rel8_16_CX or Code.Loopne_rel8_32_CX
                or Code.Jcxz_rel8_16 or Code.Jcxz_rel8_32 => 2,
            Code.Loop_rel8_16_ECX or Code.Loop_rel8_32_ECX or Code.Loop_rel8_64_ECX or Code.Loope_rel8_16_ECX
                or Code.Loope_rel8_32_ECX or Code.Loope_rel8_64_ECX or Code.Loopne_rel8_16_ECX
                or Code.Loopne_rel8_32_ECX or Code.Loopne_rel8_64_ECX
                or Code.Jecxz_rel8_16 or Code.Jecxz_rel8_32 or Code.Jecxz_rel8_64 => 4,
            _ => 8,
        };
        op->Execute = instruction.Mnemonic switch
        {
            Mnemonic.Loop => &Loop,
            Mnemonic.Loope => &LoopIfZero,
            Mnemonic.Loopne => &LoopIfNotZero,
            _ => &JumpIfCounterZero,
        };
    }

    private static Outcome Loop(Vcpu vcpu, Operation* op) => LoopWhile(vcpu, op, true);

    private static Outcome LoopIfZero(Vcpu vcpu, Operation* op)
        => LoopWhile(vcpu, op, ArithmeticFlags.Zero(vcpu.State));

    private static Outcome LoopIfNotZero(Vcpu vcpu, Operation* op)
        => LoopWhile(vcpu, op, !ArithmeticFlags.Zero(vcpu.State));

    // The counter is decremented even when a condition ends the loop, but not when the jump faults.
    private static Outcome LoopWhile(Vcpu vcpu, Operation* op, bool condition)
    {
        ulong before = vcpu.State->Gpr[1];
        ulong counter = Strings.Decrement(before, op->AddressBytes);
        vcpu.State->Gpr[1] = counter;
        if (!condition || Strings.Truncate(counter, op->AddressBytes) == 0)
        {
            return Outcome.Next;
        }

        Outcome outcome = JumpRelative(vcpu, op);
        if (outcome == Outcome.Fault)
        {
            vcpu.State->Gpr[1] = before;
        }

        return outcome;
    }

    private static Outcome JumpIfCounterZero(Vcpu vcpu, Operation* op)
        => Strings.Truncate(vcpu.State->Gpr[1], op->AddressBytes) == 0 ? JumpRelative(vcpu, op) : Outcome.Next;
}
