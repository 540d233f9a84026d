using System;
using Hypervisor.Core;
using Hypervisor.Cpu.Instructions;
using Iced.Intel;
using static Hypervisor.Cpu.Translation.HostRegister;

namespace Hypervisor.Cpu.Translation;

/// <content>Instructions that the host does as the guest: encoded again with other registers.</content>
internal sealed unsafe partial class BlockTranslator
{
    private const int Unknown = 0;
    private const int Copied = 1;
    private const int NotCopied = 2;
    private const int TemporariesMax = 3;
    private const int OperandsMax = 5;
    private const int NoSlot = -1;

    // Whether an encoding is one of those, found out once each.
    private readonly byte[] _shapes = new byte[Enum.GetValues<Code>().Length];

    // General registers of the instruction that live in memory, and the host registers that stand for them.
    private readonly int[] _spilledGuests = new int[TemporariesMax];
    private readonly int[] _spilledHosts = new int[TemporariesMax];
    private readonly int[] _operandSlots = new int[OperandsMax];
    private bool _readsCounter;
    private bool _readsHighCounter; // CH: the guest's RCX is in a register that has no high byte
    private bool _writesHighCounter;
    private int _spilledCount;
    private uint _spilledWritten;
    private uint _spilledRead;

    private bool IsCopied(in Instruction instruction)
    {
        ref byte shape = ref _shapes[(int)instruction.Code];
        if (shape == Unknown)
        {
            shape = (byte)(FindShape(instruction) ? Copied : NotCopied);
        }

        return shape == Copied;
    }

    private bool FindShape(in Instruction instruction)
    {
        bool isCopied = instruction.Code is Code.Movsd_xmm_xmmm64 or Code.Movsd_xmmm64_xmm
            || instruction.Mnemonic is Mnemonic.Vzeroupper or Mnemonic.Xchg or Mnemonic.Xadd or Mnemonic.Cmpxchg
                or Mnemonic.Cmpxchg8b or Mnemonic.Cmpxchg16b or Mnemonic.Fnstsw or Mnemonic.Fnstcw or Mnemonic.Fninit
                or Mnemonic.Fnclex or Mnemonic.Fnop or Mnemonic.Wait or Mnemonic.Emms
                or Mnemonic.Stmxcsr or Mnemonic.Vstmxcsr or Mnemonic.Ldmxcsr or Mnemonic.Vldmxcsr
            || (InstructionTable.Find(instruction.Code).Traits & InstructionTraits.CopyToHost) != 0;
        if (!isCopied
            || !instruction.Code.ToOpCode().Mode64
            || !HostFeatures.IsOffered(_vcpu, instruction.Code)
            || instruction.Mnemonic is Mnemonic.Div or Mnemonic.Idiv)
        {
            return false;
        }

        return instruction.Code is not (Code.Mov_AL_moffs8 or Code.Mov_AX_moffs16 or Code.Mov_EAX_moffs32
            or Code.Mov_RAX_moffs64 or Code.Mov_moffs8_AL or Code.Mov_moffs16_AX or Code.Mov_moffs32_EAX
            or Code.Mov_moffs64_RAX);
    }

    private bool TryEmitCopy(in Instruction original)
    {
        bool isWide = WideTable.Has(original.Code);
        if (InstructionTable.HasBadLock(original) || (isWide && !_variant.HasWide))
        {
            return false;
        }

        Instruction instruction = original;
        instruction.SegmentPrefix = Register.None;
        instruction.HasRepPrefix = false; // means nothing here, and may mean lock elision on the host
        instruction.HasRepnePrefix = false;
        InstructionInfo info = _information.GetInfo(original);
        bool hasMemory = false;
        bool isWrite = false;
        bool hasHighByte = false;
        bool needsRex = false;
        _spilledCount = 0;
        _spilledWritten = 0;
        _spilledRead = 0;
        _readsCounter = ReadsCounter(original);
        _readsHighCounter = false;
        _writesHighCounter = false;
        for (int i = 0; i < original.OpCount; i++)
        {
            OpKind kind = original.GetOpKind(i);
            _operandSlots[i] = NoSlot;
            if (_readsCounter && i > 0 && i == original.OpCount - 1 && kind == OpKind.Register)
            {
                continue; // CL
            }

            if (kind == OpKind.Memory)
            {
                hasMemory = true;
                isWrite = VectorUse.IsWritten(info.GetOpAccess(i));
            }
            else if (kind == OpKind.Register)
            {
                Register register = original.GetOpRegister(i);
                if (isWide && (register.IsVectorRegister() || register.IsK()))
                {
                    continue;
                }
                else if (register.IsVectorRegister())
                {
                    bool isVex = original.Code.Encoding() == EncodingKind.VEX;
                    if (!(isVex ? _variant.HasAvx : _variant.HasSse))
                    {
                        return false;
                    }
                }
                else if (register is >= Register.AH and <= Register.BH)
                {
                    hasHighByte = true;
                    _readsHighCounter |= register == Register.CH;
                    _writesHighCounter |= register == Register.CH && VectorUse.IsWritten(info.GetOpAccess(i));
                }
                else if (register.IsST() || register.IsMM())
                {
                    continue;
                }
                else if (!register.IsGPR())
                {
                    return false;
                }
                else if (!TryRename(ref instruction, i, info.GetOpAccess(i), ref needsRex))
                {
                    return false;
                }
            }
            else if (kind is not (>= OpKind.Immediate8 and <= OpKind.Immediate32to64))
            {
                return false; // string operands and the like
            }
        }

        if (!TryFindVectors(original, info))
        {
            return false;
        }

        if (((original.Mnemonic is Mnemonic.Vzeroupper or Mnemonic.Vstmxcsr) && !_variant.HasAvx)
            || (original.Mnemonic == Mnemonic.Stmxcsr && !_variant.HasSse)
            || (original.Mnemonic == Mnemonic.Vzeroupper && _variant.IsLegacy)) // there it leaves 8 to 15 alone
        {
            return false;
        }

        if (hasHighByte && _variant.IsLegacy)
        {
            return TryEmitHighByte(original, ref instruction, hasMemory, isWrite, needsRex);
        }

        if (hasHighByte && (hasMemory || needsRex || _spilledCount > 0))
        {
            return false;
        }

        if (isWide)
        {
            EmitLoadWide();
        }
        else if (UsesFpu(original.Code))
        {
            // MMX and SSE together: MXCSR counts too.
            if (!_variant.HasFpu || (!_variant.HasSse && original.Code.CpuidFeatures()[0] != CpuidFeature.FPU))
            {
                return false;
            }

            EmitLoadFpu();
        }

        if (hasMemory)
        {
            return TryEmitWithMemory(original, ref instruction, isWrite);
        }

        if (_readsCounter && _spilledCount == TemporariesMax)
        {
            return false;
        }

        if (_spilledCount > 1)
        {
            ReleaseR10();
        }

        AssignTemporaries(ref instruction, R9, R10, Rcx);
        EncodeWithCounter(instruction);
        StoreTemporaries();
        return true;
    }

    private bool TryEmitWithMemory(in Instruction original, ref Instruction instruction, bool isWrite)
    {
        int size = original.MemorySize.GetSize();
        bool isBitString = original.Mnemonic is Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc
            && original.Op1Kind == OpKind.Register;
        if (size is 0 or > 64 || isBitString || !IsAddressable(original) || IsStoreToCode(original, isWrite)
            || _spilledCount > (_readsCounter ? 1 : 2))
        {
            return false;
        }

        // CMPXCHG16B is the one general instruction that wants its operand aligned.
        int alignment = (HostInstructions.NeedsAlignment(original) || original.Mnemonic == Mnemonic.Cmpxchg16b)
            && size >= 16 ? size - 1 : 0;
        Place place = original.HasOpMask && EvexShape.TryGetMasked(original, out _)
            ? EmitMaskedOperand(original, size, isWrite, alignment)
            : EmitOperand(original, size, isWrite, alignment);
        instruction.MemoryBase = Register.RAX + place.Base;
        instruction.MemoryIndex = Register.R10;
        instruction.MemoryIndexScale = 1;
        SetDisplacement(ref instruction, place.Displacement);
        bool mustSpareCounter = _readsCounter && _spilledCount > 0;
        if (_spilledCount == 2 || mustSpareCounter)
        {
            _code.LeaIndexed(wide: true, R9, place.Base, R10, 0, place.Displacement);
            instruction.MemoryBase = Register.R9;
            instruction.MemoryIndex = Register.None;
            SetDisplacement(ref instruction, 0);
            ReleaseR10();
        }

        AssignTemporaries(ref instruction, mustSpareCounter ? R10 : Rcx, R10, NoSlot);
        EncodeWithCounter(instruction);
        StoreTemporaries();
        return true;
    }

    private static void SetDisplacement(ref Instruction instruction, int displacement)
    {
        instruction.MemoryDisplacement64 = (ulong)displacement;
        instruction.MemoryDisplSize = displacement == 0 ? 0 : 1; // the encoder makes it longer if need be
    }

    private bool TryRename(ref Instruction instruction, int operand, OpAccess access, ref bool needsRex)
    {
        Register register = instruction.GetOpRegister(operand);
        int guest = register.GetFullRegister() - Register.RAX;
        int host = GuestRegisters.HostOf(guest);
        if (host >= 0)
        {
            Register named = GuestRegisters.Named(register, host);
            needsRex |= host >= 8 || named is >= Register.SPL and <= Register.DIL;
            instruction.SetOpRegister(operand, named);
            return true;
        }

        needsRex = true;
        int slot = 0;
        while (slot < _spilledCount && _spilledGuests[slot] != guest)
        {
            slot++;
        }

        if (slot == _spilledCount)
        {
            if (slot == TemporariesMax)
            {
                return false;
            }

            _spilledGuests[slot] = guest;
            _spilledCount++;
        }

        _operandSlots[operand] = slot;
        bool isMerged = register.GetSize() < 4 || access is not OpAccess.Write
            || instruction.Mnemonic is Mnemonic.Bsf or Mnemonic.Bsr; // they leave it alone when there is no bit
        _spilledRead |= isMerged ? 1u << slot : 0;
        _spilledWritten |= VectorUse.IsWritten(access) ? 1u << slot : 0;
        return true;
    }

    // Loads what lives in memory and puts the temporaries into the operands.
    private void AssignTemporaries(ref Instruction instruction, int first, int second, int third)
    {
        for (int slot = 0; slot < _spilledCount; slot++)
        {
            _spilledHosts[slot] = slot == 0 ? first : slot == 1 ? second : third;
            if ((_spilledRead & (1u << slot)) != 0)
            {
                _code.Load(_spilledHosts[slot], State, StateOffset.Gpr(_spilledGuests[slot]));
            }
        }

        for (int i = 0; i < instruction.OpCount; i++)
        {
            int slot = _operandSlots[i];
            if (slot != NoSlot)
            {
                Register named = GuestRegisters.Named(instruction.GetOpRegister(i), _spilledHosts[slot]);
                instruction.SetOpRegister(i, named);
            }
        }
    }

    private void StoreTemporaries()
    {
        for (int slot = 0; slot < _spilledCount; slot++)
        {
            if ((_spilledWritten & (1u << slot)) != 0)
            {
                _code.Store(State, StateOffset.Gpr(_spilledGuests[slot]), _spilledHosts[slot]);
            }
        }
    }

    /// <summary>Whether an encoding has to do with the x87 or MMX registers.</summary>
    private static bool UsesFpu(Code code)
    {
        foreach (CpuidFeature feature in code.CpuidFeatures())
        {
            if (feature is CpuidFeature.FPU or CpuidFeature.FPU287 or CpuidFeature.FPU387 or CpuidFeature.MMX
                or CpuidFeature.FXSR or CpuidFeature.XSAVE or CpuidFeature.XSAVEC or CpuidFeature.XSAVEOPT
                or CpuidFeature.XSAVES)
            {
                return true;
            }
        }

        for (int i = 0; i < code.ToOpCode().OpCount; i++)
        {
            if (code.ToOpCode().GetOpKind(i) is OpCodeOperandKind.mm_reg or OpCodeOperandKind.mm_rm
                or OpCodeOperandKind.mm_or_mem)
            {
                return true;
            }
        }

        return false;
    }

    // Once a block, unless something in it moves them out again.
    private void EmitLoadFpu()
    {
        if (_isFpuLoaded)
        {
            return;
        }

        _isFpuLoaded = true;
        _code.Load(Rcx, State, StateOffset.IsFpuParked);
        byte* isLoaded = _code.JumpShortIfRcxZero();
        _code.Call(_set.LoadFpu);
        _code.LandShort(isLoaded);
    }

    // The few instructions that have RCX in them without saying so find the guest's there.
    private void EncodeWithCounter(in Instruction instruction)
    {
        if (_readsCounter || _readsHighCounter)
        {
            _code.Move(Rcx, GuestRegisters.Counter);
        }

        _vectors.Load(_code, State);
        Encode(instruction);
        StoreVectors();
        if (_writesHighCounter || instruction.Mnemonic is Mnemonic.Pcmpestri or Mnemonic.Pcmpistri
            or Mnemonic.Vpcmpestri or Mnemonic.Vpcmpistri or Mnemonic.Pcmpestri64 or Mnemonic.Vpcmpestri64)
        {
            _code.Move(GuestRegisters.Counter, Rcx);
        }
    }

    // Shifts by CL: the last operand, which is not encoded; and the double compare-and-exchange.
    private static bool ReadsCounter(in Instruction instruction) => instruction.Mnemonic switch
    {
        Mnemonic.Shl or Mnemonic.Sal or Mnemonic.Shr or Mnemonic.Sar or Mnemonic.Rol or Mnemonic.Ror or Mnemonic.Rcl
            or Mnemonic.Rcr => instruction.Op1Kind == OpKind.Register,
        Mnemonic.Shld or Mnemonic.Shrd => instruction.Op2Kind == OpKind.Register,
        Mnemonic.Cmpxchg8b or Mnemonic.Cmpxchg16b => true,
        _ => false,
    };

    private void Encode(in Instruction instruction)
        => Check.That(_encoder.TryEncode(instruction, 0, out _, out _));
}
