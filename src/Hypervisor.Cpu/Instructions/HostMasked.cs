using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>Moves under a mask: elements that are masked off are not accessed, so they cannot fault.</summary>
/// <remarks>
/// In the operation: Extra is the data register, Source the mask register, Destination the element size, OperandBytes
/// the
/// vector size, Immediate the unit. Spec: SDM volume 2, VMASKMOV, VPMASKMOV, MASKMOVDQU, MASKMOVQ.
/// </remarks>
internal static unsafe class HostMasked
{
    private const int RdiSlot = 7 * 8;

    internal static void Define(TableBuilder table)
    {
        table.Define(Mnemonic.Vmaskmovps, InstructionTraits.None, &Lower32);
        table.Define(Mnemonic.Vpmaskmovd, InstructionTraits.None, &Lower32);
        table.Define(Mnemonic.Vmaskmovpd, InstructionTraits.None, &Lower64);
        table.Define(Mnemonic.Vpmaskmovq, InstructionTraits.None, &Lower64);
        table.Define(Mnemonic.Maskmovdqu, InstructionTraits.None, &LowerBytes);
        table.Define(Mnemonic.Vmaskmovdqu, InstructionTraits.None, &LowerBytes);
        table.Define(Mnemonic.Maskmovq, InstructionTraits.None, &LowerBytes);
    }

    private static void Lower32(LoweringContext context, in Instruction instruction, Operation* op)
        => Lower(context, instruction, op, elementBytes: 4);

    private static void Lower64(LoweringContext context, in Instruction instruction, Operation* op)
        => Lower(context, instruction, op, elementBytes: 8);

    private static void Lower(LoweringContext context, in Instruction instruction, Operation* op, byte elementBytes)
    {
        bool isStore = instruction.Op0Kind == OpKind.Memory;
        Register data = isStore ? instruction.Op2Register : instruction.Op0Register;
        op->Extra = (byte)data.GetNumber();
        op->Source = (byte)instruction.Op1Register.GetNumber();
        op->Destination = elementBytes;
        op->OperandBytes = (byte)data.GetSize();
        op->Immediate = (ulong)HostUnit.Avx;
        if (HostFeatures.IsOffered(context.Vcpu, instruction.Code))
        {
            op->Execute = isStore ? &Store : &Load;
        }
    }

    // The destination is DS:RDI, DS replaceable.
    private static void LowerBytes(LoweringContext context, in Instruction instruction, Operation* op)
    {
        if (!HostFeatures.IsOffered(context.Vcpu, instruction.Code))
        {
            return;
        }

        op->Extra = (byte)instruction.Op1Register.GetNumber();
        op->Source = (byte)instruction.Op2Register.GetNumber();
        op->Destination = 1;
        op->Base = RdiSlot;
        op->AddressBytes = instruction.Op0Kind switch
        {
            OpKind.MemorySegDI => 2,
            OpKind.MemorySegEDI => 4,
            _ => 8,
        };
        op->Flags |= OperationFlags.Memory;
        OperandLowering.LowerSegment(instruction.MemorySegment, context.CodeMode, op);
        bool isMmx = instruction.Mnemonic == Mnemonic.Maskmovq;
        op->OperandBytes = isMmx ? (byte)8 : (byte)16;
        op->Immediate = (ulong)(instruction.Mnemonic switch
        {
            Mnemonic.Maskmovq => HostUnit.Mmx,
            Mnemonic.Maskmovdqu => HostUnit.Sse,
            _ => HostUnit.Avx,
        });
        op->Execute = isMmx ? &StoreMmx : &Store;
    }

    private static Outcome Load(Vcpu vcpu, Operation* op)
    {
        if (!HostChecks.IsEnabled(vcpu, HostUnit.Avx))
        {
            return Outcome.Fault;
        }

        CpuState* state = vcpu.State;
        byte* mask = state->Vectors + (64 * op->Source);
        ulong* result = stackalloc ulong[8];
        for (int i = 0; i < 8; i++)
        {
            result[i] = 0;
        }

        Operation element = *op;
        for (int at = 0; at < op->OperandBytes; at += op->Destination)
        {
            if (IsSelected(mask, at, op->Destination))
            {
                element.Displacement = op->Displacement + at;
                byte* bytes = vcpu.Mmu.BeginRead(&element, op->Destination);
                if (bytes == null)
                {
                    return Outcome.Fault;
                }

                Copy((byte*)result + at, bytes, op->Destination);
            }
        }

        Copy(state->Vectors + (64 * op->Extra), (byte*)result, 64);
        return Outcome.Next;
    }

    private static Outcome Store(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        return HostChecks.IsEnabled(vcpu, (HostUnit)op->Immediate)
            ? Store(vcpu, op, state->Vectors + (64 * op->Source), state->Vectors + (64 * op->Extra))
            : Outcome.Fault;
    }

    private static Outcome StoreMmx(Vcpu vcpu, Operation* op)
    {
        if (!HostChecks.IsEnabled(vcpu, HostUnit.Mmx))
        {
            return Outcome.Fault;
        }

        CpuState* state = vcpu.State;
        int top = (FpuImage.Status(state) >> 11) & 7;
        byte* mask = FpuImage.Register(state, (op->Source - top) & 7);
        byte* data = FpuImage.Register(state, (op->Extra - top) & 7);
        Outcome outcome = Store(vcpu, op, mask, data);
        if (outcome == Outcome.Next)
        {
            FpuImage.EnterMmx(state);
        }

        return outcome;
    }

    // First all elements are checked, then stored: a fault must come before any change.
    private static Outcome Store(Vcpu vcpu, Operation* op, byte* mask, byte* data)
    {
        Operation element = *op;
        for (int pass = 0; pass < 2; pass++)
        {
            for (int at = 0; at < op->OperandBytes; at += op->Destination)
            {
                if (!IsSelected(mask, at, op->Destination))
                {
                    continue;
                }

                element.Displacement = op->Displacement + at;
                byte* bytes = vcpu.Mmu.BeginWrite(&element, op->Destination, keep: false);
                if (bytes == null)
                {
                    return Outcome.Fault;
                }

                if (pass == 1)
                {
                    Copy(bytes, data + at, op->Destination);
                    vcpu.Mmu.EndWrite(bytes);
                }
            }
        }

        return Outcome.Next;
    }

    private static bool IsSelected(byte* mask, int at, int elementBytes) => (sbyte)mask[at + elementBytes - 1] < 0;

    private static void Copy(byte* target, byte* source, int count)
    {
        for (int i = 0; i < count; i++)
        {
            target[i] = source[i];
        }
    }
}
