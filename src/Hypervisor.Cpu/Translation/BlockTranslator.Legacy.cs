using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.State;
using Iced.Intel;
using static Hypervisor.Cpu.Translation.HostRegister;

namespace Hypervisor.Cpu.Translation;

/// <content>Code of 16 and 32 bits: its operands.</content>
/// <remarks>
/// A guest register may hold anything above its low 32 bits, so addresses are computed in 32 bits, or in 16. In flat
/// code that is the linear address. Otherwise a look at the segment's limit comes first, and then its base. What a
/// segment does not allow is interpreted.
/// </remarks>
internal sealed unsafe partial class BlockTranslator
{
    /// <summary>What flat code of 32 bits pushes and pops.</summary>
    internal const int LegacyWordBytes = 4;

    // Encodings that 64-bit mode lacks become others that do the same.
    private void Normalize(ref Instruction instruction)
    {
        if (!_variant.IsLegacy)
        {
            return;
        }

        instruction.Code = instruction.Code switch
        {
            Code.Inc_r16 => Code.Inc_rm16,
            Code.Inc_r32 => Code.Inc_rm32,
            Code.Dec_r16 => Code.Dec_rm16,
            Code.Dec_r32 => Code.Dec_rm32,
            Code.Mov_AL_moffs8 => Code.Mov_r8_rm8,
            Code.Mov_AX_moffs16 => Code.Mov_r16_rm16,
            Code.Mov_EAX_moffs32 => Code.Mov_r32_rm32,
            Code.Mov_moffs8_AL => Code.Mov_rm8_r8,
            Code.Mov_moffs16_AX => Code.Mov_rm16_r16,
            Code.Mov_moffs32_EAX => Code.Mov_rm32_r32,
            Code.Add_rm8_imm8_82 => Code.Add_rm8_imm8,
            Code.Or_rm8_imm8_82 => Code.Or_rm8_imm8,
            Code.Adc_rm8_imm8_82 => Code.Adc_rm8_imm8,
            Code.Sbb_rm8_imm8_82 => Code.Sbb_rm8_imm8,
            Code.And_rm8_imm8_82 => Code.And_rm8_imm8,
            Code.Sub_rm8_imm8_82 => Code.Sub_rm8_imm8,
            Code.Xor_rm8_imm8_82 => Code.Xor_rm8_imm8,
            Code.Cmp_rm8_imm8_82 => Code.Cmp_rm8_imm8,
            Code other => other,
        };
    }

    // See EmitOperand.
    private Place EmitLegacyOperand(in Instruction instruction, int sizeBytes, bool isWrite, int alignmentMask)
    {
        int segment = OperandLowering.SegmentIndex(instruction.MemorySegment);
        AccessPlan.Member member = _plan.Operand(_index);
        if (member.Window != NoWindow && alignmentMask == 0 && IsUseful(member, isWrite))
        {
            int displacement = (int)(long)instruction.MemoryDisplacement64;
            if (instruction.MemoryBase == Register.None)
            {
                _code.MoveImmediate32(R9, (uint)displacement);
                return EmitMember(member, R9, 0, sizeBytes, segment, isWrite);
            }

            return EmitMember(member, HostOf(instruction.MemoryBase), displacement, sizeBytes, segment, isWrite);
        }

        int address = EmitLegacyAddress(instruction, sizeBytes, isWrite);
        return new Place(EmitCheck(address, sizeBytes, segment, isWrite, alignmentMask), 0);
    }

    // R9 = the linear address of an operand within its segment.
    private int EmitLegacyAddress(in Instruction instruction, int sizeBytes, bool isWrite)
    {
        int segment = OperandLowering.SegmentIndex(instruction.MemorySegment);
        EmitEffective(instruction, R9);
        if (!_variant.IsFlat || segment is SegmentRegister.Fs or SegmentRegister.Gs)
        {
            EmitSegment(segment, sizeBytes, isWrite);
        }

        return R9;
    }

    // R9 = the linear address of offset R9 in a segment, if the access is within it.
    private void EmitSegment(int segment, int sizeBytes, bool isWrite)
    {
        ReleaseR10();
        _code.Load(Rcx, State, StateOffset.Limit(segment, isWrite));
        _code.LeaIndexed(wide: true, Rcx, Rcx, R9, 0, sizeBytes - 1);
        _code.Pext(Rcx, Rcx, State, StateOffset.SignBit);
        Later(OutOfLineKind.InterpretOne, _code.JumpUnlessRcxIsOne());
        _code.Load(R10, State, StateOffset.SegmentBase(segment));
        _code.LeaIndexed(wide: false, R9, R9, R10, 0, 0);
    }

    // The operand's offset in its segment.
    private void EmitEffective(in Instruction instruction, int target)
    {
        bool hasBase = instruction.MemoryBase != Register.None;
        bool hasIndex = instruction.MemoryIndex != Register.None;
        int displacement = (int)(long)instruction.MemoryDisplacement64;
        if (!hasBase && !hasIndex)
        {
            bool isShort = instruction.MemoryDisplSize == 2;
            _code.MoveImmediate32(target, isShort ? (ushort)displacement : (uint)displacement);
            return;
        }

        int baseRegister = hasBase ? HostOf(instruction.MemoryBase) : -1;
        int index = hasIndex ? HostOf(instruction.MemoryIndex) : -1;
        bool isNarrow = (hasBase ? instruction.MemoryBase : instruction.MemoryIndex).GetSize() == 2;
        bool isPlain = hasBase && !hasIndex && displacement == 0;
        if (!isPlain)
        {
            int shift = OperandLowering.ScaleShift(instruction);
            _code.LeaIndexed(wide: false, target, baseRegister, index, shift, displacement);
            baseRegister = target;
        }

        if (isNarrow)
        {
            _code.MoveZero16(target, baseRegister);
        }
        else if (isPlain)
        {
            _code.Move32(target, baseRegister);
        }
    }

    // [R9 + R10] is at a distance from a register, in 32 bits.
    private Place EmitFlatPlace(int register, int displacement)
    {
        if (displacement != 0)
        {
            _code.LeaIndexed(wide: false, R9, register, -1, 0, displacement);
        }
        else if (register != R9)
        {
            _code.Move32(R9, register);
        }

        return new Place(R9, 0);
    }

    private bool TryEmitLegacyLea(in Instruction instruction)
    {
        int target = HostOf(instruction.Op0Register);
        if (instruction.Op0Register.GetSize() == 4)
        {
            EmitEffective(instruction, target);
            return true;
        }

        EmitEffective(instruction, R9);
        _code.Move16(target, R9);
        return true;
    }

    // Flat code needs no look at its segments, except for this.
    private bool IsStoreToCode(in Instruction instruction, bool isWrite)
        => isWrite && _variant.IsFlat && instruction.MemorySegment == Register.CS;

    // An operand is AH, CH, DH or BH, which a REX prefix would make another: RCX stands for what would need one.
    private bool TryEmitHighByte(
        in Instruction original, ref Instruction instruction, bool hasMemory, bool isWrite, bool needsRex)
    {
        if (hasMemory)
        {
            return !_readsHighCounter && !needsRex && TryEmitHighByteWithMemory(original, ref instruction, isWrite);
        }

        int host = -1;
        InstructionInfo info = _information.GetInfo(original);
        bool isWritten = false;
        for (int i = 0; needsRex && i < original.OpCount; i++)
        {
            Register register = original.GetOpRegister(i);
            bool isCounter = _readsCounter && i > 0 && i == original.OpCount - 1;
            if (original.GetOpKind(i) != OpKind.Register || isCounter || register is >= Register.AH and <= Register.BH
                || HostOf(register) < 8)
            {
                continue;
            }

            if (host >= 0 && host != HostOf(register))
            {
                return false;
            }

            host = HostOf(register);
            isWritten |= VectorUse.IsWritten(info.GetOpAccess(i));
            instruction.SetOpRegister(i, GuestRegisters.Named(register, Rcx));
        }

        bool usesCounter = _readsCounter || _readsHighCounter;
        if (host >= 0 && host != GuestRegisters.Counter && usesCounter)
        {
            return false;
        }

        if (host >= 0)
        {
            _code.Move(Rcx, host);
        }

        EncodeWithCounter(instruction);
        if (isWritten)
        {
            _code.Move(host, Rcx);
        }

        return true;
    }

    private bool TryEmitHighByteWithMemory(in Instruction original, ref Instruction instruction, bool isWrite)
    {
        if (IsStoreToCode(original, isWrite))
        {
            return false;
        }

        Place place = EmitOperand(original, original.MemorySize.GetSize(), isWrite);
        _code.LeaIndexed(wide: true, Rcx, place.Base, R10, 0, place.Displacement);
        instruction.MemoryBase = Register.RCX;
        instruction.MemoryIndex = Register.None;
        SetDisplacement(ref instruction, 0);
        Encode(instruction);
        return true;
    }

    private static int HostOf(Register register)
        => GuestRegisters.HostOf(register.GetFullRegister() - Register.RAX);
}
