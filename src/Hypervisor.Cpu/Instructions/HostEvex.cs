using System;
using System.Numerics;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Paging;
using Hypervisor.Cpu.Translation;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>AVX-512: EVEX encodings and instructions on mask registers, run as the host.</summary>
/// <remarks>
/// The operation is that of <see cref="HostInstructions"/>; for a memory operand under a mask,
/// <see cref="MaskedAccess"/> is in Immediate too. What is masked off is not accessed, so it cannot fault: the stub
/// gets a copy of the operand unless all of it lies in a page that the TLB grants. Spec: SDM volume 2, 2.7.4 and 2.8.
/// </remarks>
internal static unsafe class HostEvex
{
    private const int VectorBytesMax = 64;

    internal static void Lower(LoweringContext context, in Instruction instruction, Operation* op)
    {
        if (!HostFeatures.IsOffered(context.Vcpu, instruction.Code))
        {
            return;
        }

        bool isFloat = EvexShape.IsFloat(instruction.Mnemonic);
        bool usesFlags = instruction.RflagsModified != RflagsBits.None;
        StubParts parts = (isFloat ? StubParts.Mxcsr : 0) | (usesFlags ? StubParts.Flags : 0);
        if (!HostInstructions.TryAttachStub(context, instruction, op, parts))
        {
            return;
        }

        bool isStore = op->HasMemory && instruction.Op0Kind == OpKind.Memory;
        op->Destination = (byte)HostUnit.Avx512;
        op->Source = (byte)((usesFlags ? HostUse.Flags : 0) | (isFloat ? HostUse.Float : 0)
            | (HostInstructions.NeedsAlignment(instruction) ? HostUse.Aligned : 0));
        bool isReduction = instruction.Mnemonic is Mnemonic.Vreduceps or Mnemonic.Vreducepd or Mnemonic.Vreducess
            or Mnemonic.Vreducesd;
        op->Source |= (byte)(isReduction && !instruction.SuppressAllExceptions ? HostUse.TinyUnmasked : 0);
        if (op->HasMemory && EvexShape.TryGetMasked(instruction, out MaskedAccess masked))
        {
            op->Immediate |= masked.Bits;
            op->Execute = isStore ? &MaskedStore : &MaskedLoad;
            return;
        }

        op->Source |= (byte)(instruction.HasOpMask ? HostUse.Keep : 0);
        op->Execute = HostInstructions.Unmasked(op->HasMemory, isStore, isFloat);
    }

    private static Outcome MaskedLoad(Vcpu vcpu, Operation* op)
    {
        if (!HostChecks.IsEnabled(vcpu, HostUnit.Avx512))
        {
            return Outcome.Fault;
        }

        byte* space = stackalloc byte[2 * VectorBytesMax];
        byte* memory = BeginLoad(vcpu, op, Aligned(space));
        return memory != null ? Run(vcpu, op, memory) : Outcome.Fault;
    }

    private static byte* BeginLoad(Vcpu vcpu, Operation* op, byte* buffer)
    {
        var access = new MaskedAccess(op->Immediate);
        ulong selected = access.Select(vcpu.State->Masks[access.Mask], op->Extra);
        if (selected == 0)
        {
            return buffer; // not even looked at whether it is aligned
        }

        if (access.Kind == MaskedKind.Packed)
        {
            return vcpu.Mmu.BeginRead(op, BitOperations.PopCount(selected) * access.ElementBytes);
        }

        if (!TryWhole(vcpu, op, isWrite: false, out byte* whole) || whole != null)
        {
            return whole;
        }

        Operation element = *op;
        int elementBytes = access.ElementBytes;
        for (; selected != 0; selected &= selected - 1)
        {
            int at = BitOperations.TrailingZeroCount(selected) * elementBytes;
            element.Displacement = op->Displacement + at;
            byte* bytes = vcpu.Mmu.BeginRead(&element, elementBytes);
            if (bytes == null)
            {
                return null;
            }

            new ReadOnlySpan<byte>(bytes, elementBytes).CopyTo(new Span<byte>(buffer + at, elementBytes));
        }

        return buffer;
    }

    // False: fault. A null pointer: element by element.
    private static bool TryWhole(Vcpu vcpu, Operation* op, bool isWrite, out byte* whole)
    {
        whole = null;
        bool isAligned = ((HostUse)op->Source & HostUse.Aligned) != 0;
        if (op->AddressKind == AddressKind.Legacy && !isAligned)
        {
            return true; // a segment's limit counts for what is accessed only
        }

        MemoryAccess access = isWrite ? MemoryAccess.Write : MemoryAccess.Read;
        if (!vcpu.Mmu.TryAddress(op, op->Extra, access, out ulong linear))
        {
            return false;
        }

        if (isAligned && (linear & (ulong)(op->Extra - 1)) != 0)
        {
            vcpu.Raise(ExceptionVector.GeneralProtection, 0);
            return false;
        }

        whole = vcpu.Mmu.TryPiece(linear, op->Extra, isWrite);
        return true;
    }

    // What computes is computed first, into a buffer: an exception must come before the store.
    private static Outcome MaskedStore(Vcpu vcpu, Operation* op)
    {
        if (!HostChecks.IsEnabled(vcpu, HostUnit.Avx512))
        {
            return Outcome.Fault;
        }

        var access = new MaskedAccess(op->Immediate);
        ulong selected = access.Select(vcpu.State->Masks[access.Mask], op->Extra);
        byte* whole = null;
        if (selected != 0 && access.Kind == MaskedKind.Elements && !TryWhole(vcpu, op, isWrite: true, out whole))
        {
            return Outcome.Fault;
        }

        bool isFloat = ((HostUse)op->Source & HostUse.Float) != 0;
        if (whole != null && !isFloat)
        {
            HostInstructions.Call(vcpu.State, op, whole);
            return Outcome.Next;
        }

        byte* space = stackalloc byte[2 * VectorBytesMax];
        byte* buffer = Aligned(space);
        if (Run(vcpu, op, buffer) != Outcome.Next)
        {
            return Outcome.Fault;
        }

        return access.Kind == MaskedKind.Packed
            ? StorePacked(vcpu, op, buffer, BitOperations.PopCount(selected) * access.ElementBytes)
            : StoreElements(vcpu, op, buffer, selected, access.ElementBytes);
    }

    private static Outcome StorePacked(Vcpu vcpu, Operation* op, byte* data, int size)
    {
        if (size == 0)
        {
            return Outcome.Next;
        }

        byte* bytes = vcpu.Mmu.BeginWrite(op, size, keep: false);
        if (bytes == null)
        {
            return Outcome.Fault;
        }

        new ReadOnlySpan<byte>(data, size).CopyTo(new Span<byte>(bytes, size));
        vcpu.Mmu.EndWrite(bytes);
        return Outcome.Next;
    }

    // First all elements are checked, then stored: a fault must come before any change.
    private static Outcome StoreElements(Vcpu vcpu, Operation* op, byte* data, ulong selected, int elementBytes)
    {
        Operation element = *op;
        for (int pass = 0; pass < 2; pass++)
        {
            for (ulong left = selected; left != 0; left &= left - 1)
            {
                int at = BitOperations.TrailingZeroCount(left) * elementBytes;
                element.Displacement = op->Displacement + at;
                byte* bytes = vcpu.Mmu.BeginWrite(&element, elementBytes, keep: false);
                if (bytes == null)
                {
                    return Outcome.Fault;
                }

                if (pass == 1)
                {
                    new ReadOnlySpan<byte>(data + at, elementBytes).CopyTo(new Span<byte>(bytes, elementBytes));
                    vcpu.Mmu.EndWrite(bytes);
                }
            }
        }

        return Outcome.Next;
    }

    // For the moves that want it, whatever the mask.
    private static byte* Aligned(byte* space)
        => (byte*)(((nuint)space + VectorBytesMax - 1) & ~(nuint)(VectorBytesMax - 1));

    private static Outcome Run(Vcpu vcpu, Operation* op, byte* memory)
    {
        if (((HostUse)op->Source & HostUse.Float) != 0)
        {
            return HostInstructions.Compute(vcpu, op, memory);
        }

        HostInstructions.Call(vcpu.State, op, memory);
        return Outcome.Next;
    }
}
