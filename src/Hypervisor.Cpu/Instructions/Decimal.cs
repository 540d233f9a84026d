using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>AAA, AAS, AAM, AAD, DAA, DAS, BOUND: 16- and 32-bit code only. Spec: SDM volume 2.</summary>
internal static unsafe class Decimal
{
    internal static void Define(TableBuilder table)
    {
        table.Define(Mnemonic.Aaa, InstructionTraits.None, &Lower);
        table.Define(Mnemonic.Aas, InstructionTraits.None, &Lower);
        table.Define(Mnemonic.Aam, InstructionTraits.None, &Lower);
        table.Define(Mnemonic.Aad, InstructionTraits.None, &Lower);
        table.Define(Mnemonic.Daa, InstructionTraits.None, &Lower);
        table.Define(Mnemonic.Das, InstructionTraits.None, &Lower);
        table.Define(Mnemonic.Bound, InstructionTraits.None, &Lower);
    }

    private static void Lower(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = instruction.Mnemonic switch
        {
            Mnemonic.Aaa => &AdjustAfterAdd,
            Mnemonic.Aas => &AdjustAfterSubtract,
            Mnemonic.Aam => &AdjustAfterMultiply,
            Mnemonic.Aad => &AdjustBeforeDivide,
            Mnemonic.Daa => &DecimalAfterAdd,
            Mnemonic.Das => &DecimalAfterSubtract,
            _ => instruction.Op0Register.GetSize() == 2 ? &Bound16 : &Bound32,
        };

    private static Outcome AdjustAfterAdd(Vcpu vcpu, Operation* op) => AdjustAscii(vcpu.State, 0x106);

    private static Outcome AdjustAfterSubtract(Vcpu vcpu, Operation* op) => AdjustAscii(vcpu.State, -0x106);

    private static Outcome AdjustAscii(CpuState* state, int correction)
    {
        ushort ax = (ushort)state->Gpr[0];
        bool adjust = (ax & 0xF) > 9 || (ArithmeticFlags.Read(state) & Rflags.Adjust) != 0;
        ax = (ushort)((adjust ? ax + correction : ax) & 0xFF0F);
        Operands.Set(state, 0, ax);
        ArithmeticFlags.Set(state, (byte)ax, adjust, false, adjust);
        return Outcome.Next;
    }

    private static Outcome AdjustAfterMultiply(Vcpu vcpu, Operation* op)
    {
        byte radix = (byte)op->Immediate;
        if (radix == 0)
        {
            return vcpu.Raise(ExceptionVector.DivideError);
        }

        byte al = (byte)vcpu.State->Gpr[0];
        byte low = (byte)(al % radix);
        Operands.Set(vcpu.State, 0, (ushort)(((al / radix) << 8) | low));
        ArithmeticFlags.SetLogic(vcpu.State, low);
        return Outcome.Next;
    }

    private static Outcome AdjustBeforeDivide(Vcpu vcpu, Operation* op)
    {
        ushort ax = (ushort)vcpu.State->Gpr[0];
        byte low = (byte)(ax + ((ax >> 8) * (byte)op->Immediate));
        Operands.Set(vcpu.State, 0, (ushort)low);
        ArithmeticFlags.SetLogic(vcpu.State, low);
        return Outcome.Next;
    }

    private static Outcome DecimalAfterAdd(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        byte before = (byte)state->Gpr[0];
        byte al = before;
        bool carry = ArithmeticFlags.Carry(state);
        bool adjust = (al & 0xF) > 9 || (ArithmeticFlags.Read(state) & Rflags.Adjust) != 0;
        bool carryOut = before > 0x99 || carry;
        al += adjust ? (byte)6 : (byte)0;
        al += carryOut ? (byte)0x60 : (byte)0;
        Operands.Set(state, 0, al);
        ArithmeticFlags.Set(state, al, carryOut, false, adjust);
        return Outcome.Next;
    }

    private static Outcome DecimalAfterSubtract(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        byte before = (byte)state->Gpr[0];
        byte al = before;
        bool carry = ArithmeticFlags.Carry(state);
        bool adjust = (al & 0xF) > 9 || (ArithmeticFlags.Read(state) & Rflags.Adjust) != 0;
        bool carryOut = before > 0x99 || carry || (adjust && before < 6);
        al -= adjust ? (byte)6 : (byte)0;
        al -= before > 0x99 || carry ? (byte)0x60 : (byte)0;
        Operands.Set(state, 0, al);
        ArithmeticFlags.Set(state, al, carryOut, false, adjust);
        return Outcome.Next;
    }

    private static Outcome Bound16(Vcpu vcpu, Operation* op)
    {
        if (!vcpu.Mmu.TryRead(op, out uint pair))
        {
            return Outcome.Fault;
        }

        short index = Operands.Get<short>(vcpu.State, op->Destination);
        return index < (short)pair || index > (short)(pair >> 16)
            ? vcpu.Raise(ExceptionVector.BoundRange)
            : Outcome.Next;
    }

    private static Outcome Bound32(Vcpu vcpu, Operation* op)
    {
        if (!vcpu.Mmu.TryRead(op, out ulong pair))
        {
            return Outcome.Fault;
        }

        int index = Operands.Get<int>(vcpu.State, op->Destination);
        return index < (int)pair || index > (int)(pair >> 32)
            ? vcpu.Raise(ExceptionVector.BoundRange)
            : Outcome.Next;
    }
}
