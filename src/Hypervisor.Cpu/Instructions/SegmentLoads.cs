using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Segmentation;
using Hypervisor.Cpu.State;
using Iced.Intel;

namespace Hypervisor.Cpu.Instructions;

/// <summary>LDS, LES, LSS, LFS, LGS; LAR, LSL, VERR, VERW, ARPL. Spec: SDM volume 2; volume 3, 5.10.</summary>
internal static unsafe class SegmentLoads
{
    // System types that LAR and LSL accept, by bit: without and with long mode. LSL takes no gates.
    private const int AccessTypes = 0x1A3E;     // TSS16 1,3; LDT 2; call gate 4; task gate 5; TSS32 9,B; call gate C
    private const int AccessTypesLong = 0x1A04; // LDT 2; TSS 9,B; call gate C
    private const int LimitTypes = 0x0A0E;
    private const int LimitTypesLong = 0x0A04;

    internal static void Define(TableBuilder table)
    {
        table.Define(Mnemonic.Lds, InstructionTraits.EndsBlock, &LowerPointer);
        table.Define(Mnemonic.Les, InstructionTraits.EndsBlock, &LowerPointer);
        table.Define(Mnemonic.Lss, InstructionTraits.EndsBlock, &LowerPointer);
        table.Define(Mnemonic.Lfs, InstructionTraits.EndsBlock, &LowerPointer);
        table.Define(Mnemonic.Lgs, InstructionTraits.EndsBlock, &LowerPointer);
        table.Define(Mnemonic.Lar, InstructionTraits.System, &LowerQuery);
        table.Define(Mnemonic.Lsl, InstructionTraits.System, &LowerQuery);
        table.Define(Mnemonic.Verr, InstructionTraits.System, &LowerVerify);
        table.Define(Mnemonic.Verw, InstructionTraits.System, &LowerVerify);
        table.Define(Mnemonic.Arpl, InstructionTraits.System, &LowerAdjust);
    }

    private static void LowerPointer(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->OperandBytes = (byte)instruction.Op0Register.GetSize();
        op->Extra = (byte)(instruction.Mnemonic switch
        {
            Mnemonic.Lds => SegmentRegister.Ds,
            Mnemonic.Les => SegmentRegister.Es,
            Mnemonic.Lss => SegmentRegister.Ss,
            Mnemonic.Lfs => SegmentRegister.Fs,
            _ => SegmentRegister.Gs,
        });
        op->Execute = &LoadPointer;
    }

    private static Outcome LoadPointer(Vcpu vcpu, Operation* op)
    {
        byte* pointer = vcpu.Mmu.BeginRead(op, op->OperandBytes + 2);
        if (pointer == null)
        {
            return Outcome.Fault;
        }

        ulong offset = op->OperandBytes == 2 ? *(ushort*)pointer
            : op->OperandBytes == 4 ? *(uint*)pointer : *(ulong*)pointer;
        ushort selector = *(ushort*)(pointer + op->OperandBytes);
        if (!vcpu.Segments.TryLoad(op->Extra, selector))
        {
            return Outcome.Fault;
        }

        SetRegister(vcpu.State, op, offset);
        return Outcome.EndBlock;
    }

    private static void LowerQuery(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->OperandBytes = (byte)instruction.Op0Register.GetSize();
        op->Execute = instruction.Mnemonic == Mnemonic.Lar ? &LoadAccess : &LoadLimit;
    }

    private static void LowerVerify(LoweringContext context, in Instruction instruction, Operation* op)
    {
        op->Source = op->Destination;
        op->Execute = instruction.Mnemonic == Mnemonic.Verr ? &VerifyRead : &VerifyWrite;
    }

    private static void LowerAdjust(LoweringContext context, in Instruction instruction, Operation* op)
    {
        // With a memory destination the only register is the source.
        op->Source = op->HasMemory ? op->Destination : op->Source;
        op->Execute = &AdjustPrivilege;
    }

    private static bool TrySelector(Vcpu vcpu, Operation* op, out ushort selector)
    {
        selector = 0;
        if (vcpu.Segments.IsParagraphMode)
        {
            vcpu.Raise(ExceptionVector.InvalidOpcode);
            return false;
        }

        if (op->HasMemory)
        {
            return vcpu.Mmu.TryRead(op, out selector);
        }

        selector = Operands.Get<ushort>(vcpu.State, op->Source);
        return true;
    }

    // False: a page fault. isVisible: the descriptor exists and CPL and RPL may see it.
    private static bool TryLook(Vcpu vcpu, ushort selector, out Descriptor descriptor, out bool isVisible)
    {
        descriptor = default;
        isVisible = false;
        if ((selector & 0xFFFC) == 0 || !vcpu.Segments.TryEntryAddress(selector, 8, out ulong linear))
        {
            return true;
        }

        if (!vcpu.Mmu.TryReadSystem(linear, out ulong low))
        {
            return false;
        }

        descriptor = new Descriptor(low);
        isVisible = descriptor.IsConforming && !descriptor.IsSystem
            || (vcpu.State->Cpl <= descriptor.Dpl && (selector & 3u) <= descriptor.Dpl);
        return true;
    }

    private static bool HasType(Vcpu vcpu, Descriptor descriptor, int types, int typesLong)
        => !descriptor.IsSystem
            || ((vcpu.State->LongMode != 0 ? typesLong : types) & (1 << descriptor.Type)) != 0;

    private static Outcome LoadAccess(Vcpu vcpu, Operation* op)
    {
        if (!TrySelector(vcpu, op, out ushort selector)
            || !TryLook(vcpu, selector, out Descriptor descriptor, out bool isVisible))
        {
            return Outcome.Fault;
        }

        isVisible = isVisible && HasType(vcpu, descriptor, AccessTypes, AccessTypesLong);
        if (isVisible)
        {
            SetRegister(vcpu.State, op, (uint)(descriptor.Low >> 32) & 0x00FF_FF00);
        }

        return SetZero(vcpu, isVisible);
    }

    private static Outcome LoadLimit(Vcpu vcpu, Operation* op)
    {
        if (!TrySelector(vcpu, op, out ushort selector)
            || !TryLook(vcpu, selector, out Descriptor descriptor, out bool isVisible))
        {
            return Outcome.Fault;
        }

        isVisible = isVisible && HasType(vcpu, descriptor, LimitTypes, LimitTypesLong);
        if (isVisible)
        {
            SetRegister(vcpu.State, op, descriptor.Limit);
        }

        return SetZero(vcpu, isVisible);
    }

    private static Outcome VerifyRead(Vcpu vcpu, Operation* op)
        => TrySelector(vcpu, op, out ushort selector)
            && TryLook(vcpu, selector, out Descriptor descriptor, out bool isVisible)
            ? SetZero(vcpu, isVisible && descriptor.IsReadable)
            : Outcome.Fault;

    private static Outcome VerifyWrite(Vcpu vcpu, Operation* op)
        => TrySelector(vcpu, op, out ushort selector)
            && TryLook(vcpu, selector, out Descriptor descriptor, out bool isVisible)
            ? SetZero(vcpu, isVisible && descriptor.IsWritableData)
            : Outcome.Fault;

    private static Outcome AdjustPrivilege(Vcpu vcpu, Operation* op)
    {
        if (vcpu.Segments.IsParagraphMode)
        {
            return vcpu.Raise(ExceptionVector.InvalidOpcode);
        }

        ushort wanted = (ushort)(Operands.Get<ushort>(vcpu.State, op->Source) & 3);
        if (!op->HasMemory)
        {
            ushort selector = Operands.Get<ushort>(vcpu.State, op->Destination);
            bool raises = (selector & 3) < wanted;
            if (raises)
            {
                Operands.Set(vcpu.State, op->Destination, (ushort)((selector & ~3) | wanted));
            }

            return SetZero(vcpu, raises);
        }

        ushort* target = vcpu.Mmu.BeginUpdate<ushort>(op);
        if (target == null)
        {
            return Outcome.Fault;
        }

        bool changes = (*target & 3) < wanted;
        if (changes)
        {
            *target = (ushort)((*target & ~3) | wanted);
        }

        vcpu.Mmu.EndWrite(target);
        return SetZero(vcpu, changes);
    }

    private static Outcome SetZero(Vcpu vcpu, bool isSet)
    {
        ulong flags = ArithmeticFlags.Materialize(vcpu.State) & ~Rflags.Zero;
        vcpu.State->Rflags = flags | (isSet ? Rflags.Zero : 0);
        return Outcome.Next;
    }

    private static void SetRegister(CpuState* state, Operation* op, ulong value)
    {
        switch (op->OperandBytes)
        {
            case 2:
                Operands.Set(state, op->Destination, (ushort)value);
                break;
            case 4:
                Operands.Set(state, op->Destination, (uint)value);
                break;
            default:
                Operands.Set(state, op->Destination, value);
                break;
        }
    }
}
