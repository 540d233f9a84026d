using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>AVX2 gathers: element by element, and what is done stays done when a later element faults.</summary>
/// <remarks>
/// In the operation: Destination, Source, Extra are the numbers of the destination, mask and index registers;
/// Immediate is
/// count | data bytes &lt;&lt; 8 | index bytes &lt;&lt; 16, OperandBytes the vector size. Spec: SDM volume 2,
/// VPGATHERDD and its relatives.
/// </remarks>
internal static unsafe class HostGather
{
    internal static void Define(TableBuilder table)
    {
        table.Define(Mnemonic.Vpgatherdd, InstructionTraits.None, &LowerDd);
        table.Define(Mnemonic.Vgatherdps, InstructionTraits.None, &LowerDd);
        table.Define(Mnemonic.Vpgatherdq, InstructionTraits.None, &LowerDq);
        table.Define(Mnemonic.Vgatherdpd, InstructionTraits.None, &LowerDq);
        table.Define(Mnemonic.Vpgatherqd, InstructionTraits.None, &LowerQd);
        table.Define(Mnemonic.Vgatherqps, InstructionTraits.None, &LowerQd);
        table.Define(Mnemonic.Vpgatherqq, InstructionTraits.None, &LowerQq);
        table.Define(Mnemonic.Vgatherqpd, InstructionTraits.None, &LowerQq);
    }

    private static void LowerDd(LoweringContext context, in Instruction instruction, Operation* op)
        => Lower(context, instruction, op, indexBytes: 4, dataBytes: 4);

    private static void LowerDq(LoweringContext context, in Instruction instruction, Operation* op)
        => Lower(context, instruction, op, indexBytes: 4, dataBytes: 8);

    private static void LowerQd(LoweringContext context, in Instruction instruction, Operation* op)
        => Lower(context, instruction, op, indexBytes: 8, dataBytes: 4);

    private static void LowerQq(LoweringContext context, in Instruction instruction, Operation* op)
        => Lower(context, instruction, op, indexBytes: 8, dataBytes: 8);

    private static void Lower(
        LoweringContext context, in Instruction instruction, Operation* op, int indexBytes, int dataBytes)
    {
        op->Destination = (byte)instruction.Op0Register.GetNumber();
        op->Source = (byte)instruction.Op2Register.GetNumber();
        op->Extra = (byte)instruction.MemoryIndex.GetNumber();
        op->ScaleShift = OperandLowering.ScaleShift(instruction);
        int count = indexBytes == 8
            ? instruction.MemoryIndex.GetSize() / indexBytes
            : instruction.Op0Register.GetSize() / dataBytes;
        op->OperandBytes = (byte)System.Math.Max(instruction.MemoryIndex.GetSize(), instruction.Op0Register.GetSize());
        op->Immediate = (ulong)(count | (dataBytes << 8) | (indexBytes << 16));
        bool areDistinct = op->Destination != op->Source && op->Destination != op->Extra && op->Source != op->Extra;
        if (areDistinct && HostFeatures.IsOffered(context.Vcpu, instruction.Code))
        {
            op->Execute = &Gather;
        }
    }

    private static Outcome Gather(Vcpu vcpu, Operation* op)
    {
        if (!HostChecks.IsEnabled(vcpu, HostUnit.Avx))
        {
            return Outcome.Fault;
        }

        CpuState* state = vcpu.State;
        byte* target = state->Vectors + (64 * op->Destination);
        byte* mask = state->Vectors + (64 * op->Source);
        byte* index = state->Vectors + (64 * op->Extra);
        int count = (int)(op->Immediate & 0xFF);
        int dataBytes = (int)((op->Immediate >> 8) & 0xFF);
        int indexBytes = (int)((op->Immediate >> 16) & 0xFF);

        // Only sign bits of the mask count; a fault leaves it as all ones or zeros an element, to the vector's end.
        Spread(mask, op->OperandBytes, dataBytes);
        Operation element = *op;
        for (int i = 0; i < count; i++)
        {
            if ((sbyte)mask[(i * dataBytes) + dataBytes - 1] >= 0)
            {
                continue;
            }

            long offset = indexBytes == 4 ? ((int*)index)[i] : ((long*)index)[i];
            element.Displacement = op->Displacement + (offset << op->ScaleShift);
            byte* bytes = vcpu.Mmu.BeginRead(&element, dataBytes);
            if (bytes == null)
            {
                return Outcome.Fault;
            }

            if (dataBytes == 4)
            {
                ((uint*)target)[i] = *(uint*)bytes;
                ((uint*)mask)[i] = 0;
            }
            else
            {
                ((ulong*)target)[i] = *(ulong*)bytes;
                ((ulong*)mask)[i] = 0;
            }

            Clear(target, count * dataBytes <= 16 ? 16 : 32);
        }

        Clear(target, count * dataBytes);
        Clear(mask, 0);
        return Outcome.Next;
    }

    private static void Spread(byte* mask, int vectorBytes, int dataBytes)
    {
        for (int i = 0; i < vectorBytes / dataBytes; i++)
        {
            if (dataBytes == 4)
            {
                ((int*)mask)[i] >>= 31;
            }
            else
            {
                ((long*)mask)[i] >>= 63;
            }
        }

        Clear(mask, vectorBytes);
    }

    private static void Clear(byte* register, int from)
    {
        for (int at = from; at < 64; at++)
        {
            register[at] = 0;
        }
    }
}
