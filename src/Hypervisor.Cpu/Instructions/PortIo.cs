using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Paging;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>IN, OUT, INS, OUTS. Spec: SDM volume 2; volume 1, chapter 19.</summary>
/// <remarks>A REP form looks for events after each element and goes on by <see cref="Outcome.Restart"/>.</remarks>
internal static unsafe class PortIo
{
    private const int Rcx = 1, Rdx = 2, Rsi = 6, Rdi = 7;

    internal static void Define(TableBuilder table)
    {
        table.Define(Mnemonic.In, InstructionTraits.System, &LowerPort);
        table.Define(Mnemonic.Out, InstructionTraits.System, &LowerPort);
        table.Define(Mnemonic.Insb, InstructionTraits.System, &LowerString);
        table.Define(Mnemonic.Insw, InstructionTraits.System, &LowerString);
        table.Define(Mnemonic.Insd, InstructionTraits.System, &LowerString);
        table.Define(Mnemonic.Outsb, InstructionTraits.System, &LowerString);
        table.Define(Mnemonic.Outsw, InstructionTraits.System, &LowerString);
        table.Define(Mnemonic.Outsd, InstructionTraits.System, &LowerString);
    }

    // Extra: the port is DX. OperandBytes: width of the accumulator.
    private static void LowerPort(LoweringContext context, in Instruction instruction, Operation* op)
    {
        bool isIn = instruction.Mnemonic == Mnemonic.In;
        op->OperandBytes = (byte)(isIn ? instruction.Op0Register : instruction.Op1Register).GetSize();
        OpKind port = isIn ? instruction.Op1Kind : instruction.Op0Kind;
        op->Extra = port == OpKind.Register ? (byte)1 : (byte)0;
        op->Execute = isIn ? &In : &Out;
    }

    private static void LowerString(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->OperandBytes = instruction.Mnemonic switch
        {
            Mnemonic.Insb or Mnemonic.Outsb => 1,
            Mnemonic.Insw or Mnemonic.Outsw => 2,
            _ => 4,
        };
        Strings.LowerAddressing(context, instruction, op);
        bool isIn = instruction.Mnemonic is Mnemonic.Insb or Mnemonic.Insw or Mnemonic.Insd;
        op->Execute = isIn ? &InString : &OutString;
    }

    private static bool TryPort(Vcpu vcpu, ushort port, int sizeBytes)
    {
        if (!vcpu.Virtual.TryAllowPort(port, sizeBytes))
        {
            return false;
        }

        if (vcpu.Debug.HasBreakpoints)
        {
            vcpu.Debug.OnPort(port, sizeBytes);
        }

        return true;
    }

    private static Outcome In(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        ushort port = op->Extra != 0 ? (ushort)state->Gpr[Rdx] : (byte)op->Immediate;
        if (!TryPort(vcpu, port, op->OperandBytes))
        {
            return Outcome.Fault;
        }

        uint value = vcpu.Bus.ReadPort(port, op->OperandBytes);
        switch (op->OperandBytes)
        {
            case 1:
                Operands.Set(state, 0, (byte)value);
                break;
            case 2:
                Operands.Set(state, 0, (ushort)value);
                break;
            default:
                Operands.Set(state, 0, value);
                break;
        }

        return Outcome.Next;
    }

    // Ends the block: the device may have asked for an interrupt, a reset, or another A20 setting.
    private static Outcome Out(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        ushort port = op->Extra != 0 ? (ushort)state->Gpr[Rdx] : (byte)op->Immediate;
        if (!TryPort(vcpu, port, op->OperandBytes))
        {
            return Outcome.Fault;
        }

        vcpu.Bus.WritePort(port, op->OperandBytes, Truncate((uint)state->Gpr[0], op->OperandBytes));
        return Outcome.EndBlock;
    }

    private static uint Truncate(uint value, int sizeBytes)
        => sizeBytes == 1 ? (byte)value : sizeBytes == 2 ? (ushort)value : value;

    private static Outcome InString(Vcpu vcpu, Operation* op) => Repeat(vcpu, op, &InElement);

    private static Outcome OutString(Vcpu vcpu, Operation* op) => Repeat(vcpu, op, &OutElement);

    private static Outcome Repeat(Vcpu vcpu, Operation* op, delegate*<Vcpu, Operation*, bool> element)
    {
        CpuState* state = vcpu.State;
        if ((op->Flags & (OperationFlags.Rep | OperationFlags.Repne)) == 0)
        {
            return element(vcpu, op) ? Outcome.EndBlock : Outcome.Fault;
        }

        while (Strings.Truncate(state->Gpr[Rcx], op->AddressBytes) != 0)
        {
            if (!element(vcpu, op))
            {
                return Outcome.Fault;
            }

            state->Gpr[Rcx] = Strings.Decrement(state->Gpr[Rcx], op->AddressBytes);
            if (state->Events != 0 && Strings.Truncate(state->Gpr[Rcx], op->AddressBytes) != 0)
            {
                return Outcome.Restart;
            }
        }

        return Outcome.EndBlock;
    }

    // The store is checked before the port is read: reading may have an effect that cannot be taken back.
    private static bool InElement(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        ushort port = (ushort)state->Gpr[Rdx];
        int size = op->OperandBytes;
        ulong offset = Strings.Truncate(state->Gpr[Rdi], op->AddressBytes);
        if (!TryPort(vcpu, port, size)
            || !vcpu.Mmu.TrySegment(SegmentRegister.Es, offset, size, MemoryAccess.Write, out ulong linear))
        {
            return false;
        }

        byte* target = vcpu.Mmu.BeginWriteLinear(linear, size, SegmentRegister.Es, keep: false);
        if (target == null)
        {
            return false;
        }

        uint value = vcpu.Bus.ReadPort(port, size);
        switch (size)
        {
            case 1:
                *target = (byte)value;
                break;
            case 2:
                *(ushort*)target = (ushort)value;
                break;
            default:
                *(uint*)target = value;
                break;
        }

        vcpu.Mmu.EndWrite(target);
        Advance(state, op, Rdi);
        return true;
    }

    private static bool OutElement(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        ushort port = (ushort)state->Gpr[Rdx];
        int size = op->OperandBytes;
        ulong offset = Strings.Truncate(state->Gpr[Rsi], op->AddressBytes);
        if (!TryPort(vcpu, port, size)
            || !vcpu.Mmu.TrySegment(op->Segment, offset, size, MemoryAccess.Read, out ulong linear))
        {
            return false;
        }

        byte* source = vcpu.Mmu.BeginReadLinear(linear, size, op->Segment);
        if (source == null)
        {
            return false;
        }

        uint value = size == 1 ? *source : size == 2 ? *(ushort*)source : *(uint*)source;
        vcpu.Bus.WritePort(port, size, value);
        Advance(state, op, Rsi);
        return true;
    }

    private static void Advance(CpuState* state, Operation* op, int register)
    {
        long delta = (state->Rflags & Rflags.Direction) != 0 ? -op->OperandBytes : op->OperandBytes;
        state->Gpr[register] = Strings.Add(state->Gpr[register], delta, op->AddressBytes);
    }
}
