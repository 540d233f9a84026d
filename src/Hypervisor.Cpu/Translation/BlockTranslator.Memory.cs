using System;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Paging;
using Hypervisor.Cpu.State;
using Iced.Intel;
using static Hypervisor.Cpu.Translation.HostRegister;

namespace Hypervisor.Cpu.Translation;

/// <content>Addresses, and the check of the TLB in front of every access.</content>
internal sealed unsafe partial class BlockTranslator
{
    /// <summary>Whether <see cref="EmitAddress"/> can do this operand.</summary>
    private static bool IsAddressable(in Instruction instruction)
    {
        if (instruction.IsIPRelativeMemoryOperand)
        {
            return instruction.MemoryBase == Register.RIP
                && (long)instruction.MemoryDisplacement64 == (int)instruction.MemoryDisplacement64;
        }

        return !instruction.MemoryIndex.IsVectorRegister();
    }

    // Leaves the linear address in the register that it returns: R9, or a pinned one that holds it already. Uses R10.
    private int EmitAddress(in Instruction instruction, bool withSegment = true)
    {
        Register segment = withSegment ? instruction.MemorySegment : Register.None;
        bool isBased = segment is Register.FS or Register.GS;
        if (instruction.IsIPRelativeMemoryOperand)
        {
            EmitLinear((int)(long)instruction.MemoryDisplacement64); // relative to the page: the decoder started there
        }
        else if (instruction.MemoryBase == Register.None && instruction.MemoryIndex == Register.None)
        {
            ulong address = instruction.MemoryDisplacement64;
            if (address == (uint)address)
            {
                _code.MoveImmediate32(R9, (uint)address);
            }
            else
            {
                _code.MoveImmediate64(R9, address);
            }
        }
        else
        {
            int simple = EmitSum(instruction, isBased);
            if (!isBased)
            {
                return simple;
            }
        }

        if (isBased)
        {
            ReleaseR10();
            int index = segment == Register.FS ? SegmentRegister.Fs : SegmentRegister.Gs;
            _code.Load(R10, State, StateOffset.SegmentBase(index));
            _code.LeaIndexed(wide: true, R9, R9, R10, 0, 0);
        }

        return R9;
    }

    // Base + index * scale + displacement.
    private int EmitSum(in Instruction instruction, bool mustBeR9)
    {
        int baseRegister = -1;
        if (instruction.MemoryBase != Register.None)
        {
            baseRegister = EmitPart(instruction.MemoryBase, R9);
        }

        int index = -1;
        if (instruction.MemoryIndex != Register.None)
        {
            if (GuestRegisters.HostOf(instruction.MemoryIndex.GetFullRegister() - Register.RAX) < 0)
            {
                ReleaseR10();
            }

            index = EmitPart(instruction.MemoryIndex, R10);
        }

        Register any = baseRegister >= 0 ? instruction.MemoryBase : instruction.MemoryIndex;
        bool isWide = any.GetSize() == 8;
        int displacement = (int)(long)instruction.MemoryDisplacement64;
        if (isWide && index < 0 && displacement == 0 && (!mustBeR9 || baseRegister == R9))
        {
            return baseRegister;
        }

        int shift = OperandLowering.ScaleShift(instruction);
        _code.LeaIndexed(isWide, R9, baseRegister, index, shift, displacement);
        return R9;
    }

    private int EmitPart(Register register, int temporary)
    {
        int guest = register.GetFullRegister() - Register.RAX;
        int host = GuestRegisters.HostOf(guest);
        if (host < 0)
        {
            _code.Load(temporary, State, StateOffset.Gpr(guest));
            return temporary;
        }

        return host;
    }

    // A register with an address that is likely on the same page as the operand and known earlier: the index, which is
    // often the end of a chain of a loop's instructions, then waits for no look into the TLB. R10 may be it.
    private int EmitNear(in Instruction instruction)
    {
        int host = instruction.MemoryBase == Register.None
            ? -1
            : GuestRegisters.HostOf(instruction.MemoryBase.GetFullRegister() - Register.RAX);
        int displacement = (int)(long)instruction.MemoryDisplacement64;
        bool isBased = instruction.MemorySegment is Register.FS or Register.GS;
        if (host < 0 || instruction.MemoryBase.GetSize() != 8 || isBased)
        {
            return R9;
        }

        if (displacement == 0)
        {
            return host;
        }

        ReleaseR10();
        _code.Lea(R10, host, displacement);
        return R10;
    }

    /// <summary>
    /// Checks an access; gives the register that holds its address: behind it, [register + R10] is the data. With a
    /// hull the address is where the hull begins, the access is <paramref name="below"/> bytes behind, and all of the
    /// hull is on the page then. The slot of <paramref name="near"/> is looked at first, if given. Uses RCX, and R9
    /// perhaps.
    /// </summary>
    private int EmitCheck(
        int address, int sizeBytes, int segment, bool isWrite, int alignmentMask = 0, bool isShared = false,
        int below = 0, int hullBytes = 0, int near = -1)
    {
        ReleaseR10();
        int spanBytes = Math.Max(sizeBytes, hullBytes);
        AccessDescriptor access = AccessDescriptor.Of(_offset, sizeBytes, segment, alignmentMask, isWrite);
        access = isShared ? access.Shared : access;
        bool isNear = near >= 0 && near != address;
        EmitTagCheck(address, isNear ? near : address, spanBytes, isWrite, alignmentMask);
        byte* miss = _code.JumpUnlessRcxIsOne();
        EmitAddend();
        Later(new OutOfLine(OutOfLineKind.Access, (nint)miss, (nint)_code.Here, _offset, access.Bits)
        {
            Register = address,
            Below = below,
            HullBytes = hullBytes,
            IsNear = isNear,
        });
        return address;
    }

    // R10 = what to add to the address, from the slot in R10.
    private void EmitAddend()
        => _code.LoadIndexed(R10, State, R10, 3, StateOffset.Tlb(_variant.Mode, TlbEntry.AddendAt));

    // RCX = 1 if a slot grants the access; R10 = the slot. It may be that of an address on the page before (not behind:
    // an access that begins below the page that a slot is about would not be told from one on it; nor far away, where
    // unused tags point to).
    private void EmitTagCheck(int address, int slotOf, int spanBytes, bool isWrite, int alignmentMask)
    {
        int tags = StateOffset.Tlb(_variant.Mode, isWrite ? TlbEntry.WriteAt : TlbEntry.ReadAt);
        EmitTlbSlot(slotOf);
        _code.LoadIndexed(Rcx, State, R10, 3, tags);

        // Without what is on the page 1 remains; of an aligned access the low bits remain too, so they must make it 1.
        int distance = alignmentMask != 0 ? 1 - (int)TlbEntry.PageBytes : spanBytes - 1;
        _code.LeaIndexed(wide: true, Rcx, Rcx, address, 0, distance);
        int mustBeZero = alignmentMask switch
        {
            0 => StateOffset.PageBits,
            15 => StateOffset.Aligned16Bits,
            31 => StateOffset.Aligned32Bits,
            _ => StateOffset.Aligned64Bits,
        };
        _code.Pext(Rcx, Rcx, State, mustBeZero);
    }

    // R10 = the slot of an address.
    private void EmitTlbSlot(int address) => _code.Pext(R10, address, State, StateOffset.TlbSlotBits);

    private void EmitAccessCall(in OutOfLine part)
    {
        if (part.HullBytes != 0)
        {
            EmitHullCheck(part);
        }

        if (part.IsNear)
        {
            EmitOwnSlot(part);
        }

        if (part.Register != R9 || part.Below != 0)
        {
            _code.Lea(R9, part.Register, part.Below);
        }

        EmitNoteUncounted();
        _code.MoveImmediate32(R10, part.Argument);
        _code.Call(_set.Access);
        if (part.Register == R9 && part.Below != 0)
        {
            _code.Lea(R9, R9, -part.Below);
        }

        _code.Jump((byte*)part.Resume);
    }

    // The page was another than guessed: the slot of the address itself.
    private void EmitOwnSlot(in OutOfLine part)
    {
        var access = new AccessDescriptor(part.Argument);
        EmitTagCheck(part.Register, part.Register, access.SizeBytes, access.IsWrite, (int)access.AlignmentMask);
        byte* miss = _code.JumpUnlessRcxIsOne();
        EmitAddend();
        _code.Jump((byte*)part.Resume);
        _code.Land(miss);
    }

    // A hull that crosses a page: on to the block that checks each access alone.
    private void EmitHullCheck(in OutOfLine part)
    {
        _code.Lea(Rcx, part.Register, part.HullBytes - 1);
        _code.Pext(Rcx, Rcx, State, StateOffset.PageBits);
        _code.Not(Rcx);
        _code.Pext(R10, part.Register, State, StateOffset.PageBits);
        _code.LeaIndexed(wide: true, Rcx, Rcx, R10, 0, 1); // first page - last page
        byte* isOnePage = _code.JumpShortIfRcxZero();
        EmitCount(_uncounted);
        int link = _cache.NewLink(_code.JumpForward(), isBackward: false, isCareful: true);
        Later(new OutOfLine(OutOfLineKind.Link, 0, 0, part.Offset, (uint)link));
        _code.LandShort(isOnePage);
        _uncounted = part.Uncounted; // for the other way
    }

    // Which segment's fault an address that is not canonical raises.
    private static int SegmentOf(in Instruction instruction)
    {
        if (instruction.MemorySegment is Register.FS or Register.GS)
        {
            return OperandLowering.SegmentIndex(instruction.MemorySegment);
        }

        return instruction.MemoryBase is Register.RSP or Register.RBP or Register.ESP or Register.EBP
            ? SegmentRegister.Ss
            : SegmentRegister.Ds;
    }
}
