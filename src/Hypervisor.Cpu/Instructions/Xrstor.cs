using System;
using System.Buffers.Binary;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Paging;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>XRSTOR from the standard and the compacted format. Spec: SDM volume 1, 13.8.</summary>
internal static unsafe class Xrstor
{
    internal static void Define(TableBuilder table)
    {
        table.Define(Mnemonic.Xrstor, InstructionTraits.None, &Lower);
        table.Define(Mnemonic.Xrstor64, InstructionTraits.None, &Lower);
    }

    private static void Lower(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->Extra = instruction.Mnemonic == Mnemonic.Xrstor64 ? (byte)1 : (byte)0;
        op->Execute = HostFeatures.IsOffered(context.Vcpu, instruction.Code) ? &Restore : null;
    }

    private static Outcome Restore(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        ulong requested = Xsave.Requested(state);
        Span<byte> area = stackalloc byte[ExtendedState.AreaBytesMax];
        int minimum = ExtendedState.LegacyBytes + ExtendedState.HeaderBytes;
        if (!Xsave.TryAddress(vcpu, op, MemoryAccess.Read, minimum, out ulong linear)
            || !MemoryArea.TryReadLinear(vcpu, linear, op->Segment, area[..minimum]))
        {
            return Outcome.Fault;
        }

        Span<byte> header = area.Slice(ExtendedState.LegacyBytes, ExtendedState.HeaderBytes);
        ulong present = BinaryPrimitives.ReadUInt64LittleEndian(header);
        ulong format = BinaryPrimitives.ReadUInt64LittleEndian(header[8..]);
        bool isCompacted = (format & Xsave.Compacted) != 0;
        ulong load = requested & present;
        bool loadsMxcsr = isCompacted
            ? (load & ExtendedState.Sse) != 0
            : (requested & (ExtendedState.Sse | ExtendedState.Avx)) != 0;
        uint mxcsr = BinaryPrimitives.ReadUInt32LittleEndian(area[Xsave.MxcsrAt..]);
        if (!IsHeaderValid(state, header, present, format)
            || (loadsMxcsr && (mxcsr & ~SimdExceptions.Defined) != 0))
        {
            return vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        }

        // All of it is read before any of it is taken over.
        int at = minimum;
        for (int index = 2; index <= ExtendedState.ComponentMax; index++)
        {
            int offset = isCompacted ? at : ExtendedState.Offset(index);
            int size = ExtendedState.Size(index);
            if (isCompacted && (format & (1ul << index)) != 0)
            {
                at += size;
            }

            // Gathered in the standard format.
            if ((load & (1ul << index)) != 0
                && !MemoryArea.TryReadLinear(
                    vcpu, linear + (ulong)offset, op->Segment, area.Slice(ExtendedState.Offset(index), size)))
            {
                return Outcome.Fault;
            }
        }

        Take(state, area, requested, load, wide: op->Extra != 0);
        if (loadsMxcsr)
        {
            state->Mxcsr = mxcsr;
        }
        else if ((requested & ExtendedState.Sse) != 0)
        {
            state->Mxcsr = ExtendedState.DefaultMxcsr;
        }

        return Outcome.Next;
    }

    private static void Take(CpuState* state, Span<byte> area, ulong requested, ulong load, bool wide)
    {
        for (int index = 0; index <= ExtendedState.ComponentMax; index++)
        {
            ulong bit = 1ul << index;
            if ((requested & bit) == 0)
            {
                continue;
            }

            if ((load & bit) == 0)
            {
                ExtendedState.Initialize(state, index);
            }
            else if (index == 0)
            {
                ExtendedState.LoadFpu(state, area, wide);
            }
            else if (index == 1)
            {
                ExtendedState.MoveXmm(state, area[Xsave.XmmAt..], isSaving: false);
            }
            else
            {
                ExtendedState.Load(
                    state, index, area.Slice(ExtendedState.Offset(index), ExtendedState.Size(index)));
            }
        }
    }

    private static bool IsHeaderValid(CpuState* state, ReadOnlySpan<byte> header, ulong present, ulong format)
    {
        if ((format & Xsave.Compacted) == 0)
        {
            return format == 0
                && (present & ~state->Xcr0) == 0
                && !header[16..24].ContainsAnyExcept((byte)0);
        }

        ulong components = format & ~Xsave.Compacted;
        return (components & ~state->Xcr0) == 0
            && (present & ~components) == 0
            && !header[16..].ContainsAnyExcept((byte)0);
    }
}
