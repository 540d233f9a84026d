using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>CLC, STC, CMC, CLD, STD, LAHF, SAHF, SALC, NOP. What touches IF or IOPL is elsewhere.</summary>
internal static unsafe class FlagOperations
{
    private const ulong LowFlags = Rflags.Sign | Rflags.Zero | Rflags.Adjust | Rflags.Parity | Rflags.Carry;

    internal static void Define(TableBuilder table)
    {
        table.Define(Mnemonic.Clc, InstructionTraits.CopyToHost, &Lower);
        table.Define(Mnemonic.Stc, InstructionTraits.CopyToHost, &Lower);
        table.Define(Mnemonic.Cmc, InstructionTraits.CopyToHost, &Lower);
        table.Define(Mnemonic.Cld, InstructionTraits.None, &Lower);
        table.Define(Mnemonic.Std, InstructionTraits.None, &Lower);
        table.Define(Mnemonic.Lahf, InstructionTraits.CopyToHost, &Lower);
        table.Define(Mnemonic.Sahf, InstructionTraits.CopyToHost, &Lower);
        table.Define(Mnemonic.Salc, InstructionTraits.None, &Lower);
        table.Define(Mnemonic.Nop, InstructionTraits.CopyToHost, &Lower);
        table.Define(Mnemonic.Endbr64, InstructionTraits.CopyToHost, &Lower);
        table.Define(Mnemonic.Endbr32, InstructionTraits.CopyToHost, &Lower);
    }

    private static void Lower(LoweringContext context, in Instruction instruction, Operation* op)
        => op->Execute = instruction.Mnemonic switch
        {
            Mnemonic.Clc => &ClearCarry,
            Mnemonic.Stc => &SetCarry,
            Mnemonic.Cmc => &ComplementCarry,
            Mnemonic.Cld => &ClearDirection,
            Mnemonic.Std => &SetDirection,
            Mnemonic.Lahf => &LoadFlags,
            Mnemonic.Sahf => &StoreFlags,
            Mnemonic.Salc => &SetFromCarry,
            _ => &Nothing,
        };

    private static Outcome Nothing(Vcpu vcpu, Operation* op) => Outcome.Next;

    private static Outcome ClearCarry(Vcpu vcpu, Operation* op)
    {
        vcpu.State->Rflags = ArithmeticFlags.Materialize(vcpu.State) & ~Rflags.Carry;
        return Outcome.Next;
    }

    private static Outcome SetCarry(Vcpu vcpu, Operation* op)
    {
        vcpu.State->Rflags = ArithmeticFlags.Materialize(vcpu.State) | Rflags.Carry;
        return Outcome.Next;
    }

    private static Outcome ComplementCarry(Vcpu vcpu, Operation* op)
    {
        vcpu.State->Rflags = ArithmeticFlags.Materialize(vcpu.State) ^ Rflags.Carry;
        return Outcome.Next;
    }

    private static Outcome ClearDirection(Vcpu vcpu, Operation* op)
    {
        vcpu.State->Rflags &= ~Rflags.Direction;
        return Outcome.Next;
    }

    private static Outcome SetDirection(Vcpu vcpu, Operation* op)
    {
        vcpu.State->Rflags |= Rflags.Direction;
        return Outcome.Next;
    }

    private static Outcome LoadFlags(Vcpu vcpu, Operation* op)
    {
        Operands.Set(vcpu.State, 1, (byte)((ArithmeticFlags.Read(vcpu.State) & LowFlags) | Rflags.AlwaysOne));
        return Outcome.Next;
    }

    private static Outcome StoreFlags(Vcpu vcpu, Operation* op)
    {
        ulong overflow = ArithmeticFlags.Read(vcpu.State) & Rflags.Overflow;
        ArithmeticFlags.WriteArithmetic(vcpu.State, (Operands.Get<byte>(vcpu.State, 1) & LowFlags) | overflow);
        return Outcome.Next;
    }

    private static Outcome SetFromCarry(Vcpu vcpu, Operation* op)
    {
        Operands.Set(vcpu.State, 0, ArithmeticFlags.Carry(vcpu.State) ? (byte)0xFF : (byte)0);
        return Outcome.Next;
    }
}
