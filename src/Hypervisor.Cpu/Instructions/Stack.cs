using System.Numerics;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Paging;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>
/// PUSH, POP, PUSHA, POPA, ENTER, LEAVE. Segment registers are in SegmentStack, flags in FlagsRegister.
/// </summary>
internal static unsafe class Stack
{
    private const int Rsp = 4, Rbp = 5;

    internal static void Define(TableBuilder table)
    {
        table.Define(Mnemonic.Push, InstructionTraits.None, &LowerPush);
        table.Define(Mnemonic.Pop, InstructionTraits.None, &LowerPop);
        table.Define(Mnemonic.Pusha, InstructionTraits.None, &LowerPushAll);
        table.Define(Mnemonic.Pushad, InstructionTraits.None, &LowerPushAll);
        table.Define(Mnemonic.Popa, InstructionTraits.None, &LowerPopAll);
        table.Define(Mnemonic.Popad, InstructionTraits.None, &LowerPopAll);
        table.Define(Mnemonic.Enter, InstructionTraits.None, &LowerEnter);
        table.Define(Mnemonic.Leave, InstructionTraits.None, &LowerLeave);
    }

    private static void LowerPush(LoweringContext context, in Instruction instruction, Operation* op)
    {
        if (instruction.Op0Kind == OpKind.Register && instruction.Op0Register.IsSegmentRegister())
        {
            SegmentStack.LowerPush(context, instruction, op);
            return;
        }

        // StackPointerIncrement is what RSP moves by: the operand size of the push.
        int size = -instruction.StackPointerIncrement;
        op->OperandBytes = (byte)size;
        op->Execute = size switch
        {
            2 => SelectPush<ushort>(instruction, op),
            4 => SelectPush<uint>(instruction, op),
            _ => SelectPush<ulong>(instruction, op),
        };
    }

    private static delegate*<Vcpu, Operation*, Outcome> SelectPush<T>(in Instruction instruction, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        => op->HasMemory
            ? &PushMemory<T>
            : instruction.Op0Kind == OpKind.Register ? &PushRegister<T> : &PushImmediate<T>;

    private static Outcome PushRegister<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged
        => vcpu.Mmu.TryPush(Operands.Get<T>(vcpu.State, op->Destination)) ? Outcome.Next : Outcome.Fault;

    private static Outcome PushImmediate<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
        => vcpu.Mmu.TryPush(T.CreateTruncating(op->Immediate)) ? Outcome.Next : Outcome.Fault;

    private static Outcome PushMemory<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged
        => vcpu.Mmu.TryRead(op, out T value) && vcpu.Mmu.TryPush(value) ? Outcome.Next : Outcome.Fault;

    private static void LowerPop(LoweringContext context, in Instruction instruction, Operation* op)
    {
        if (instruction.Op0Kind == OpKind.Register && instruction.Op0Register.IsSegmentRegister())
        {
            SegmentStack.LowerPop(context, instruction, op);
            return;
        }

        op->Execute = instruction.StackPointerIncrement switch
        {
            2 => op->HasMemory ? &PopMemory<ushort> : &PopRegister<ushort>,
            4 => op->HasMemory ? &PopMemory<uint> : &PopRegister<uint>,
            _ => op->HasMemory ? &PopMemory<ulong> : &PopRegister<ulong>,
        };
    }

    private static Outcome PopRegister<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        if (!vcpu.Mmu.TryPeek(0, out T value))
        {
            return Outcome.Fault;
        }

        vcpu.Mmu.AddToStackPointer(sizeof(T)); // before the write: POP RSP keeps the popped value
        Operands.Set(vcpu.State, op->Destination, value);
        return Outcome.Next;
    }

    // An address that uses RSP is formed after the increment. Spec: SDM volume 2, "POP".
    private static Outcome PopMemory<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged
    {
        if (!vcpu.Mmu.TryPeek(0, out T value))
        {
            return Outcome.Fault;
        }

        ulong before = vcpu.State->Gpr[Rsp];
        vcpu.Mmu.AddToStackPointer(sizeof(T));
        if (vcpu.Mmu.TryWrite(op, value))
        {
            return Outcome.Next;
        }

        vcpu.State->Gpr[Rsp] = before;
        return Outcome.Fault;
    }

    private static void LowerPushAll(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = instruction.Mnemonic == Mnemonic.Pushad ? &PushAll<uint> : &PushAll<ushort>;

    private static Outcome PushAll<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong before = vcpu.State->Gpr[Rsp];
        for (int register = 0; register < 8; register++)
        {
            ulong value = register == Rsp ? before : vcpu.State->Gpr[register];
            if (!vcpu.Mmu.TryPush(T.CreateTruncating(value)))
            {
                vcpu.State->Gpr[Rsp] = before;
                return Outcome.Fault;
            }
        }

        return Outcome.Next;
    }

    private static void LowerPopAll(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = instruction.Mnemonic == Mnemonic.Popad ? &PopAll<uint> : &PopAll<ushort>;

    private static Outcome PopAll<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        ulong* values = stackalloc ulong[8];
        for (int i = 0; i < 8; i++)
        {
            if (!vcpu.Mmu.TryPeek(i * sizeof(T), out T value))
            {
                return Outcome.Fault;
            }

            values[7 - i] = ulong.CreateTruncating(value);
        }

        for (int register = 0; register < 8; register++)
        {
            if (register != Rsp)
            {
                Operands.Set(vcpu.State, (byte)(register * 8), T.CreateTruncating(values[register]));
            }
        }

        vcpu.Mmu.AddToStackPointer(8 * sizeof(T));
        return Outcome.Next;
    }

    private static void LowerEnter(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->Immediate = instruction.Immediate16;
        op->Extra = (byte)(instruction.Immediate8_2nd & 0x1F);
        op->Execute = instruction.Code switch
        {
            Code.Enterw_imm16_imm8 => &Enter<ushort>,
            Code.Enterd_imm16_imm8 => &Enter<uint>,
            _ => &Enter<ulong>,
        };
    }

    private static Outcome Enter<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        CpuState* state = vcpu.State;
        ulong stackPointer = state->Gpr[Rsp];
        if (!EnterFrame<T>(vcpu, op, out ulong frame))
        {
            state->Gpr[Rsp] = stackPointer;
            return Outcome.Fault;
        }

        Operands.Set(state, Rbp * 8, T.CreateTruncating(frame));
        return Outcome.Next;
    }

    // Everything up to the write of rBP, which alone cannot be taken back by restoring RSP.
    private static bool EnterFrame<T>(Vcpu vcpu, Operation* op, out ulong frame)
        where T : unmanaged, IBinaryInteger<T>
    {
        CpuState* state = vcpu.State;
        frame = 0;
        if (!vcpu.Mmu.TryPush(T.CreateTruncating(state->Gpr[Rbp])))
        {
            return false;
        }

        frame = state->Gpr[Rsp];
        ulong link = state->Gpr[Rbp];
        for (int level = 1; level < op->Extra; level++)
        {
            link = (link - (ulong)sizeof(T)) & state->StackMask;
            if (!vcpu.Mmu.TrySegment(SegmentRegister.Ss, link, sizeof(T), MemoryAccess.Read, out ulong linear)
                || !vcpu.Mmu.TryReadLinear(linear, SegmentRegister.Ss, out T value)
                || !vcpu.Mmu.TryPush(value))
            {
                return false;
            }
        }

        if (op->Extra > 0 && !vcpu.Mmu.TryPush(T.CreateTruncating(frame)))
        {
            return false;
        }

        // The last word of the new frame must be writable; the processor checks it without storing.
        ulong lowest = (state->Gpr[Rsp] - op->Immediate) & state->StackMask;
        if (!vcpu.Mmu.TrySegment(SegmentRegister.Ss, lowest, sizeof(T), MemoryAccess.Write, out ulong last)
            || vcpu.Mmu.BeginUpdateLinear<T>(last, SegmentRegister.Ss) == null)
        {
            return false;
        }

        vcpu.Mmu.SetStackPointer(lowest);
        return true;
    }

    private static void LowerLeave(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = instruction.Code switch
        {
            Code.Leavew => &Leave<ushort>,
            Code.Leaved => &Leave<uint>,
            _ => &Leave<ulong>,
        };

    private static Outcome Leave<T>(Vcpu vcpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        CpuState* state = vcpu.State;
        ulong before = state->Gpr[Rsp];
        vcpu.Mmu.SetStackPointer(state->Gpr[Rbp] & state->StackMask);
        if (!vcpu.Mmu.TryPeek(0, out T value))
        {
            state->Gpr[Rsp] = before;
            return Outcome.Fault;
        }

        vcpu.Mmu.AddToStackPointer(sizeof(T));
        Operands.Set(state, Rbp * 8, value);
        return Outcome.Next;
    }
}
