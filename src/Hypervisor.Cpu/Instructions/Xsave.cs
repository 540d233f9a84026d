using System;
using System.Buffers.Binary;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Paging;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>XSAVE, XSAVEOPT, XSAVEC. Spec: SDM volume 1, 13.7, 13.9, 13.10.</summary>
/// <remarks>Whether a component is in use is decided by its value, so that replicas agree.</remarks>
internal static unsafe class Xsave
{
    internal const ulong Compacted = 1ul << 63;
    internal const int MxcsrAt = 24;
    internal const int XmmAt = 160;
    internal const int HeaderAt = ExtendedState.LegacyBytes;

    private const byte Wide = 1;
    private const byte Optimized = 2;
    private const byte Compact = 4;
    private const int AlignmentMask = 63;

    internal static void Define(TableBuilder table)
    {
        table.Define(Mnemonic.Xsave, InstructionTraits.None, &Lower);
        table.Define(Mnemonic.Xsave64, InstructionTraits.None, &Lower);
        table.Define(Mnemonic.Xsaveopt, InstructionTraits.None, &Lower);
        table.Define(Mnemonic.Xsaveopt64, InstructionTraits.None, &Lower);
        table.Define(Mnemonic.Xsavec, InstructionTraits.None, &Lower);
        table.Define(Mnemonic.Xsavec64, InstructionTraits.None, &Lower);
    }

    private static void Lower(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->Extra = instruction.Mnemonic switch
        {
            Mnemonic.Xsave64 => Wide,
            Mnemonic.Xsaveopt => Optimized,
            Mnemonic.Xsaveopt64 => Wide | Optimized,
            Mnemonic.Xsavec => Compact,
            Mnemonic.Xsavec64 => Wide | Compact,
            _ => 0,
        };
        op->Execute = !HostFeatures.IsOffered(context.Vcpu, instruction.Code) ? null
            : (op->Extra & Compact) != 0 ? &SaveCompacted : &SaveStandard;
    }

    /// <summary>Checks CR4, CR0, segment and alignment; false: fault.</summary>
    internal static bool TryAddress(
        Vcpu vcpu, Operation* op, MemoryAccess access, int sizeBytes, out ulong linear)
    {
        CpuState* state = vcpu.State;
        linear = 0;
        if ((state->Cr4 & Cr4.XsaveEnable) == 0)
        {
            vcpu.Raise(ExceptionVector.InvalidOpcode);
            return false;
        }

        if ((state->Cr0 & Cr0.TaskSwitched) != 0)
        {
            vcpu.Raise(ExceptionVector.DeviceNotAvailable);
            return false;
        }

        if (!vcpu.Mmu.TryAddress(op, sizeBytes, access, out linear))
        {
            return false;
        }

        if ((linear & AlignmentMask) != 0)
        {
            vcpu.Raise(ExceptionVector.GeneralProtection, 0);
            return false;
        }

        return true;
    }

    /// <summary>EDX:EAX, as far as XCR0 allows (RFBM).</summary>
    internal static ulong Requested(CpuState* state)
        => ((uint)state->Gpr[0] | (state->Gpr[2] << 32)) & state->Xcr0;

    /// <summary>Bytes up to the end of the last component in <paramref name="components"/>, standard format.</summary>
    internal static int StandardBytes(ulong components)
    {
        int bytes = HeaderAt + ExtendedState.HeaderBytes;
        for (int index = 2; index <= ExtendedState.ComponentMax; index++)
        {
            if ((components & (1ul << index)) != 0)
            {
                bytes = ExtendedState.Offset(index) + ExtendedState.Size(index);
            }
        }

        return bytes;
    }

    private static Outcome SaveStandard(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        ulong requested = Requested(state);
        int length = StandardBytes(requested);
        if (!TryAddress(vcpu, op, MemoryAccess.Write, length, out ulong linear)
            || !MemoryArea.TryProbeWrite(vcpu, linear, op->Segment, length))
        {
            return Outcome.Fault;
        }

        // Nothing in the area faults from here on. Parts that are not saved keep what they hold: written part by part.
        ulong inUse = ExtendedState.InUse(state, requested);
        ulong saved = (op->Extra & Optimized) != 0 ? inUse : requested;
        Span<byte> area = stackalloc byte[ExtendedState.AreaBytesMax];
        area.Clear();
        WriteLegacy(vcpu, linear, op, area, saved, (requested & (ExtendedState.Sse | ExtendedState.Avx)) != 0);
        for (int index = 2; index <= ExtendedState.ComponentMax; index++)
        {
            if ((saved & (1ul << index)) != 0)
            {
                Span<byte> component = area.Slice(ExtendedState.Offset(index), ExtendedState.Size(index));
                ExtendedState.Save(state, index, component);
                Write(vcpu, linear + (ulong)ExtendedState.Offset(index), op, component);
            }
        }

        if (!vcpu.Mmu.TryReadLinear(linear + HeaderAt, op->Segment, out ulong present))
        {
            return Outcome.Fault;
        }

        return vcpu.Mmu.TryWriteLinear(linear + HeaderAt, op->Segment, (present & ~requested) | inUse)
            ? Outcome.Next
            : Outcome.Fault;
    }

    private static Outcome SaveCompacted(Vcpu vcpu, Operation* op)
    {
        CpuState* state = vcpu.State;
        ulong requested = Requested(state);
        int length = CompactedBytes(requested);
        if (!TryAddress(vcpu, op, MemoryAccess.Write, length, out ulong linear)
            || !MemoryArea.TryProbeWrite(vcpu, linear, op->Segment, length))
        {
            return Outcome.Fault;
        }

        ulong inUse = ExtendedState.InUse(state, requested);
        if (state->Mxcsr != ExtendedState.DefaultMxcsr)
        {
            inUse |= requested & ExtendedState.Sse;
        }

        Span<byte> area = stackalloc byte[ExtendedState.AreaBytesMax];
        area.Clear();
        WriteLegacy(vcpu, linear, op, area, inUse, (inUse & ExtendedState.Sse) != 0);
        int at = HeaderAt + ExtendedState.HeaderBytes;
        for (int index = 2; index <= ExtendedState.ComponentMax; index++)
        {
            if ((requested & (1ul << index)) == 0)
            {
                continue;
            }

            Span<byte> component = area.Slice(at, ExtendedState.Size(index));
            if ((inUse & (1ul << index)) != 0)
            {
                ExtendedState.Save(state, index, component);
                Write(vcpu, linear + (ulong)at, op, component);
            }

            at += ExtendedState.Size(index);
        }

        Span<byte> header = area[..16]; // the rest of the header is left alone
        BinaryPrimitives.WriteUInt64LittleEndian(header, inUse);
        BinaryPrimitives.WriteUInt64LittleEndian(header[8..], requested | Compacted);
        Write(vcpu, linear + HeaderAt, op, header);
        return Outcome.Next;
    }

    /// <summary>Bytes of an area in the compacted format that has <paramref name="components"/>.</summary>
    internal static int CompactedBytes(ulong components)
    {
        int bytes = HeaderAt + ExtendedState.HeaderBytes;
        for (int index = 2; index <= ExtendedState.ComponentMax; index++)
        {
            bytes += (components & (1ul << index)) != 0 ? ExtendedState.Size(index) : 0;
        }

        return bytes;
    }

    private static void WriteLegacy(
        Vcpu vcpu, ulong linear, Operation* op, Span<byte> area, ulong saved, bool savesMxcsr)
    {
        CpuState* state = vcpu.State;
        if ((saved & ExtendedState.X87) != 0)
        {
            ExtendedState.SaveFpu(state, area, wide: (op->Extra & Wide) != 0);
            Write(vcpu, linear, op, area[..MxcsrAt]);
            Write(vcpu, linear + 32, op, area[32..XmmAt]);
        }

        if (savesMxcsr)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(area[MxcsrAt..], state->Mxcsr);
            BinaryPrimitives.WriteUInt32LittleEndian(area[(MxcsrAt + 4)..], SimdExceptions.Defined);
            Write(vcpu, linear + MxcsrAt, op, area.Slice(MxcsrAt, 8));
        }

        if ((saved & ExtendedState.Sse) != 0)
        {
            Span<byte> vectors = area.Slice(XmmAt, 16 * ExtendedState.VectorCount(state));
            ExtendedState.MoveXmm(state, vectors, isSaving: true);
            Write(vcpu, linear + XmmAt, op, vectors);
        }
    }

    private static void Write(Vcpu vcpu, ulong linear, Operation* op, ReadOnlySpan<byte> bytes)
        => Core.Check.That(MemoryArea.TryWriteLinear(vcpu, linear, op->Segment, bytes)); // probed before
}
