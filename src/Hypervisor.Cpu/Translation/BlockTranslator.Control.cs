using Iced.Intel;
using static Hypervisor.Cpu.Translation.HostRegister;

namespace Hypervisor.Cpu.Translation;

/// <content>Jumps and calls.</content>
internal sealed unsafe partial class BlockTranslator
{
    /// <summary>What code of 64 bits pushes and pops.</summary>
    internal const int WordBytes = 8;

    private bool EmitConditional(in Instruction instruction)
    {
        if (!IsReachable(instruction))
        {
            return EmitInterpreted(instruction);
        }

        int target = TargetOf(instruction);
        if (instruction.ConditionCode != ConditionCode.None && instruction.IsJccShortOrNear)
        {
            EmitDirectExit(_code.JumpForwardIf((int)instruction.ConditionCode - 1), target);
            return false;
        }

        if (_variant.IsLegacy)
        {
            return EmitLegacyCounted(instruction, target);
        }

        if (instruction.Mnemonic is not (Mnemonic.Jrcxz or Mnemonic.Loop)
            || instruction.Code is Code.Loop_rel8_64_ECX)
        {
            return EmitInterpreted(instruction);
        }

        if (instruction.Mnemonic == Mnemonic.Loop)
        {
            _code.Lea(GuestRegisters.Counter, GuestRegisters.Counter, -1);
        }

        _code.Move(Rcx, GuestRegisters.Counter);
        EmitCounterJump(instruction.Mnemonic == Mnemonic.Loop, target);
        return false;
    }

    // The counter is in RCX: LOOP jumps unless it is 0, JCXZ if it is.
    private void EmitCounterJump(bool isLoop, int target)
    {
        byte* zero = _code.JumpShortIfRcxZero();
        byte* over = zero;
        if (!isLoop)
        {
            over = _code.JumpShort();
            _code.LandShort(zero);
        }

        EmitDirectExit(_code.JumpForward(), target);
        _code.LandShort(over);
    }

    // Whether the distance of a direct jump's target from the page fits an address computation.
    private bool IsReachable(in Instruction instruction)
        => _variant.IsLegacy ? IsLegacyReachable(instruction) : instruction.Op0Kind == OpKind.NearBranch64
            && (long)instruction.NearBranchTarget == (int)instruction.NearBranchTarget;

    private bool EmitJump(in Instruction instruction)
    {
        if (!IsReachable(instruction))
        {
            return EmitInterpreted(instruction);
        }

        EmitDirectJump(TargetOf(instruction));
        return true;
    }

    // Its distance from the page.
    private int TargetOf(in Instruction instruction)
        => _variant.IsLegacy ? LegacyTargetOf(instruction) : (int)(long)instruction.NearBranchTarget;

    // The jump at hole goes to an offset from this page.
    private void EmitDirectExit(byte* hole, int target)
    {
        if (target < _pageLow || target >= _pageHigh)
        {
            Later(OutOfLineKind.FarJump, hole, argument: (uint)target);
            return;
        }

        int link = _cache.NewLink(hole, isBackward: target <= _offset);
        Later(new OutOfLine(OutOfLineKind.Link, 0, 0, target, (uint)link));
    }

    private void EmitDirectJump(int target)
    {
        if (target < _pageLow || target >= _pageHigh)
        {
            EmitFarJump(target);
            return;
        }

        EmitDirectExit(_code.JumpForward(), target);
    }

    // A direct jump to another page: see FarLink.
    private void EmitFarJump(int target)
    {
        if (_variant.IsSegmented)
        {
            EmitSegmentedJump(target);
            return;
        }

        int link = _cache.NewLink(null, isBackward: target <= _offset);
        int far = _cache.MakeFar(link);
        EmitPlaceInTime();
        _code.Load(R10, State, StateOffset.FarLink(far));
        _code.LeaIndexed(wide: true, Rcx, Rcx, R10, 0, 0);
        byte* look = _code.JumpUnlessRcxIsOne();
        byte* resume = _code.Here;
        _code.LeaIndexed(!_variant.IsLegacy, R9, R9, -1, 0, target & -PageBytes);
        _code.Store(State, StateOffset.CodeBase, R9);
        _cache.SetHole(link, _code.JumpForward());
        Later(new OutOfLine(OutOfLineKind.FarLink, (nint)look, (nint)resume, target, (uint)link)
        {
            Far = far,
        });
    }

    // RCX = 1 - epoch + R9, the page that this code runs on: what a FarLink is good for.
    private void EmitPlaceInTime()
    {
        _code.Load(R9, State, StateOffset.CodeBase);
        _code.Load(Rcx, State, StateOffset.JumpEpoch(_variant.Set));
        _code.LeaIndexed(wide: true, Rcx, Rcx, R9, 0, 0);
    }

    // The jump is not linked, or what it knows may be wrong.
    private void EmitFarLink(in OutOfLine part)
    {
        byte* unlinked = _code.Here;
        EmitTarget(part.Offset);
        byte* leave = _code.Here;
        _code.MoveImmediate32(R10, part.Argument);
        EmitExit(ExitReason.Unlinked);

        byte* forgotten = _code.Here;
        EmitTarget(part.Offset);
        byte* firstMiss = EntryStubs.EmitLookup(_code, _variant.Set);
        byte* known = _code.Here;
        _code.LoadIndexed(R10, State, R10, 3, StateOffset.Jumps(_variant.Set) + JumpCache.CodeAt);
        _code.Load(Rcx, State, StateOffset.FarLink(part.Far) + FarLink.TargetAt);
        _code.LeaIndexed(wide: true, Rcx, Rcx, R10, 0, 0);
        byte* other = _code.JumpUnlessRcxIsOne();
        EmitPlaceInTime();
        _code.Not(Rcx);
        _code.Lea(Rcx, Rcx, 2);
        _code.Store(State, StateOffset.FarLink(part.Far), Rcx);
        _code.Jump((byte*)part.Resume);
        _code.Land(other);
        _code.JumpRegister(R10);
        _code.Land(firstMiss);
        byte* secondMiss = EntryStubs.EmitSecondWay(_code, _variant.Set);
        _code.Jump(known);
        _code.Land(secondMiss);
        _code.Jump(leave);
        _cache.SetFarCode(part.Far, (byte*)part.Hole, unlinked, forgotten);
    }

    // Jumps to R9, to code of another mode if need be: what differs between the modes is in the state already.
    private void EmitJumpTo(int mode)
    {
        if (_variant.IsLegacy)
        {
            EmitLegacyJumpTo(mode);
            return;
        }

        byte* miss = EntryStubs.EmitLookup(_code, mode);
        _code.JumpIndexed(State, R10, StateOffset.Jumps(mode) + JumpCache.CodeAt);
        _code.Land(miss);
        _code.Jump(_stubs[mode].Miss);
    }

    // A look-up for an instruction that has done nothing yet: where the target is not known, it is looked for
    // from here again, or the instruction is interpreted.
    private void EmitKnownTarget()
    {
        ForgetWindows(); // to find the target may mean to translate
        byte* retry = _code.Here;
        byte* miss = EntryStubs.EmitLookup(_code, _variant.Set);
        Later(new OutOfLine(OutOfLineKind.UnknownTarget, (nint)miss, (nint)retry, _offset, 0)
        {
            Hit = (nint)_code.Here,
        });
    }

    private bool EmitIndirectJump(in Instruction instruction)
    {
        if (!instruction.IsJmpNearIndirect || !TryEmitTarget(instruction))
        {
            return EmitInterpreted(instruction);
        }

        EmitKnownTarget();
        _code.JumpIndexed(State, R10, StateOffset.Jumps(_variant.Set) + JumpCache.CodeAt);
        return true;
    }

    // R9 = the target in a register or in memory.
    private bool TryEmitTarget(in Instruction instruction)
    {
        if (_variant.IsLegacy)
        {
            return TryEmitLegacyTarget(instruction);
        }

        if (instruction.Op0Kind == OpKind.Register)
        {
            if (instruction.Op0Register.GetSize() != WordBytes)
            {
                return false;
            }

            int guest = instruction.Op0Register - Register.RAX;
            int host = GuestRegisters.HostOf(guest);
            if (host < 0)
            {
                _code.Load(R9, State, StateOffset.Gpr(guest));
            }
            else
            {
                _code.Move(R9, host);
            }

            return true;
        }

        if (instruction.MemorySize.GetSize() != WordBytes || !IsAddressable(instruction))
        {
            return false;
        }

        Place place = EmitOperand(instruction, WordBytes, isWrite: false);
        _code.LoadIndexed(R9, place.Base, R10, 0, place.Displacement);
        return true;
    }

    private bool EmitCall(in Instruction instruction)
    {
        if (!IsReachable(instruction))
        {
            return EmitInterpreted(instruction);
        }

        if (_variant.IsSegmented)
        {
            EmitSegmentedCall(instruction);
            return true;
        }

        EmitPushReturn((int)instruction.NextIP);
        EmitDirectJump(TargetOf(instruction));
        return true;
    }

    // The target is looked up first: when it is not known, nothing has happened yet and the interpreter may fault.
    private bool EmitIndirectCall(in Instruction instruction)
    {
        if (!instruction.IsCallNearIndirect || !TryEmitTarget(instruction))
        {
            return EmitInterpreted(instruction);
        }

        EmitCallOfTarget(instruction);
        return true;
    }

    // Calls R9.
    private void EmitCallOfTarget(in Instruction instruction)
    {
        EmitKnownTarget();
        _code.LoadIndexed(R10, State, R10, 3, StateOffset.Jumps(_variant.Set) + JumpCache.CodeAt);
        _code.Store(State, StateOffset.SavedTarget, R9);
        _code.Store(State, StateOffset.SavedCode, R10);
        if (_variant.IsSegmented)
        {
            EmitSegmentedPushReturn(instruction);
        }
        else
        {
            EmitPushReturn((int)instruction.NextIP);
        }

        _code.Load(R9, State, StateOffset.SavedTarget);
        _code.JumpMemory(State, StateOffset.SavedCode);
    }

    private bool TryEmitLea(in Instruction instruction)
    {
        if (_variant.IsLegacy)
        {
            return TryEmitLegacyLea(instruction);
        }

        int size = instruction.Op0Register.GetSize();
        if (size < 4 || !IsAddressable(instruction))
        {
            return false;
        }

        int source = EmitAddress(instruction, withSegment: false);
        int guest = instruction.Op0Register.GetFullRegister() - Register.RAX;
        int host = GuestRegisters.HostOf(guest);
        int target = host < 0 ? Rcx : host;
        if (size == 4)
        {
            _code.LeaIndexed(wide: false, target, source, -1, 0, 0);
        }
        else
        {
            _code.Move(target, source);
        }

        if (host < 0)
        {
            _code.Store(State, StateOffset.Gpr(guest), target);
        }

        return true;
    }
}
