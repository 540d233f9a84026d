using System;
using System.Numerics;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>
/// Gathers and scatters under a mask register: what is done stays done, and out of the mask, when a later element
/// faults.
/// </summary>
/// <remarks>
/// In the operation: Destination, Source, Extra are the numbers of the data, mask and index registers; Immediate is
/// count | data bytes &lt;&lt; 8 | index bytes &lt;&lt; 16, OperandBytes the size of the data register. The exception
/// that a fault becomes has RF in its frame, as every fault has. Spec: SDM volume 2, VPGATHERDD and VPSCATTERDD with
/// their relatives.
/// </remarks>
internal static unsafe class EvexGather
{
    private const int VectorBytes = 64;

    internal static void Lower(LoweringContext context, in Instruction instruction, Operation* op)
    {
        bool isStore = instruction.Op0Kind == OpKind.Memory;
        Register data = isStore ? instruction.Op1Register : instruction.Op0Register;
        int dataBytes = instruction.MemorySize.GetSize();
        int indexBytes = instruction.IsVsib32 ? sizeof(int) : sizeof(long);
        int count = Math.Min(instruction.MemoryIndex.GetSize() / indexBytes, data.GetSize() / dataBytes);
        op->Destination = (byte)data.GetNumber();
        op->Source = (byte)(instruction.OpMask - Register.K0);
        op->Extra = (byte)instruction.MemoryIndex.GetNumber();
        op->OperandBytes = (byte)data.GetSize();
        op->ScaleShift = OperandLowering.ScaleShift(instruction);
        op->Immediate = (ulong)(count | (dataBytes << 8) | (indexBytes << 16));
        bool isOverlapping = !isStore && op->Destination == op->Extra;
        if (instruction.HasOpMask && !isOverlapping && HostFeatures.IsOffered(context.Vcpu, instruction.Code))
        {
            op->Execute = isStore ? &Scatter : &Gather;
        }
    }

    private static Outcome Gather(Vcpu vcpu, Operation* op) => Run(vcpu, op, isStore: false);

    private static Outcome Scatter(Vcpu vcpu, Operation* op) => Run(vcpu, op, isStore: true);

    private static Outcome Run(Vcpu vcpu, Operation* op, bool isStore)
    {
        if (!HostChecks.IsEnabled(vcpu, HostUnit.Avx512))
        {
            return Outcome.Fault;
        }

        CpuState* state = vcpu.State;
        byte* data = state->Vectors + (VectorBytes * op->Destination);
        ref ulong mask = ref state->Masks[op->Source];
        int dataBytes = DataBytes(op);
        Operation element = *op;
        for (ulong left = Selected(state, op); left != 0; left &= left - 1)
        {
            int i = BitOperations.TrailingZeroCount(left);
            element.Displacement = op->Displacement + Offset(state, op, i);
            byte* bytes = isStore
                ? vcpu.Mmu.BeginWrite(&element, dataBytes, keep: false)
                : vcpu.Mmu.BeginRead(&element, dataBytes);
            if (bytes == null)
            {
                return Outcome.Fault;
            }

            mask &= ~(1ul << i);
            if (isStore)
            {
                Copy(bytes, data + (i * dataBytes), dataBytes);
                vcpu.Mmu.EndWrite(bytes);
            }
            else
            {
                Copy(data + (i * dataBytes), bytes, dataBytes);
                Clear(data, op->OperandBytes); // already now, as hosts do
            }
        }

        if (!isStore)
        {
            Clear(data, Count(op) * dataBytes);
        }

        mask = 0;
        return Outcome.Next;
    }

    private static int Count(Operation* op) => (int)(op->Immediate & 0xFF);

    private static int DataBytes(Operation* op) => (int)((op->Immediate >> 8) & 0xFF);

    private static ulong Selected(CpuState* state, Operation* op)
        => state->Masks[op->Source] & ((1ul << Count(op)) - 1); // 16 at most

    private static long Offset(CpuState* state, Operation* op, int element)
    {
        byte* index = state->Vectors + (VectorBytes * op->Extra);
        bool isWide = (op->Immediate >> 16) == sizeof(long);
        return (isWide ? ((long*)index)[element] : ((int*)index)[element]) << op->ScaleShift;
    }

    private static void Clear(byte* register, int from)
        => new Span<byte>(register + from, VectorBytes - from).Clear();

    private static void Copy(byte* target, byte* source, int dataBytes)
    {
        if (dataBytes == sizeof(uint))
        {
            *(uint*)target = *(uint*)source;
        }
        else
        {
            *(ulong*)target = *(ulong*)source;
        }
    }
}
