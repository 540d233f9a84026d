using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Segmentation;

/// <summary>Far RET and IRET: to the same level, to an outer one, to virtual-8086 mode, to the previous task.</summary>
/// <remarks>Spec: SDM volume 2, RET and IRET. On false nothing has changed.</remarks>
internal sealed unsafe class FarReturn(Vcpu vcpu)
{
    private const ulong IretFlags = Rflags.Arithmetic | Rflags.Trap | Rflags.Direction | Rflags.NestedTask
        | Rflags.Resume | Rflags.AlignmentCheck | Rflags.Identification;

    private readonly CpuState* _state = vcpu.State;
    private readonly SegmentUnit _segments = vcpu.Segments;
    private readonly StackFrame _stack = vcpu.Stack;

    /// <summary>RETF, releasing <paramref name="releasedBytes"/> of parameters.</summary>
    internal bool TryReturn(int bytes, int releasedBytes)
    {
        _segments.Save(out TransferSnapshot snapshot);
        bool done = _segments.IsParagraphMode
            ? TryReturnParagraph(bytes, releasedBytes)
            : TryReturnProtected(bytes, releasedBytes);
        return Finish(done, snapshot);
    }

    /// <summary>IRET, IRETD, IRETQ.</summary>
    internal bool TryInterruptReturn(int bytes)
    {
        ulong flags = ArithmeticFlags.Materialize(_state);
        if (_segments.IsProtected && !_segments.IsVirtual8086 && (flags & Rflags.NestedTask) != 0)
        {
            if (_state->LongMode != 0)
            {
                return _segments.Refuse(ExceptionVector.GeneralProtection, 0);
            }

            return vcpu.Mmu.TryReadSystem(
                    (uint)_state->Segments[SegmentRegister.Tr].Base, out ushort previous)
                && vcpu.Tasks.TryTransfer(previous, TaskSwitchCause.Return);
        }

        _segments.Save(out TransferSnapshot snapshot);
        bool done = !_segments.IsProtected ? TryInterruptReturnReal(bytes)
            : _segments.IsVirtual8086 ? TryInterruptReturnVirtual(bytes)
            : TryInterruptReturnProtected(bytes);
        return Finish(done, snapshot);
    }

    private bool Finish(bool done, in TransferSnapshot snapshot)
    {
        if (!done)
        {
            _segments.Restore(snapshot);
            return false;
        }

        _segments.UpdateMode();
        return true;
    }

    private bool TryReturnParagraph(int bytes, int releasedBytes)
    {
        if (!_stack.TryPeek(bytes, 0, out ulong rip) || !_stack.TryPeek(bytes, 1, out ulong selector))
        {
            return false;
        }

        if (rip > 0xFFFF)
        {
            return _segments.Refuse(ExceptionVector.GeneralProtection, 0);
        }

        vcpu.Mmu.AddToStackPointer((bytes * 2) + releasedBytes);
        _segments.SetParagraph(SegmentRegister.Cs, (ushort)selector);
        _state->Rip = rip;
        return true;
    }

    private bool TryReturnProtected(int bytes, int releasedBytes)
    {
        if (!_stack.TryPeek(bytes, 0, out ulong rip) || !_stack.TryPeek(bytes, 1, out ulong raw)
            || !TryCheckCode((ushort)raw, out Descriptor code))
        {
            return false;
        }

        ushort selector = (ushort)raw;
        uint level = selector & 3u;
        if (level == _state->Cpl)
        {
            if (!vcpu.Transfers.TryEnter(selector, code, rip, level))
            {
                return false;
            }

            vcpu.Mmu.AddToStackPointer((bytes * 2) + releasedBytes);
            return true;
        }

        int skipped = (bytes * 2) + releasedBytes;
        if (!_stack.TryPeek(bytes, 0, out ulong pointer, skipped)
            || !_stack.TryPeek(bytes, 1, out ulong stackSelector, skipped)
            || !TryToOuter(selector, code, rip, (ushort)stackSelector, pointer))
        {
            return false;
        }

        vcpu.Mmu.AddToStackPointer(releasedBytes);
        return true;
    }

    private bool TryCheckCode(ushort selector, out Descriptor code)
    {
        code = default;
        if ((selector & 0xFFFC) == 0)
        {
            return _segments.Refuse(ExceptionVector.GeneralProtection, 0);
        }

        if (!_segments.TryRead(selector, ExceptionVector.GeneralProtection, out code))
        {
            return false;
        }

        uint level = selector & 3u;
        bool isAllowed = level >= _state->Cpl && (code.IsConforming ? code.Dpl <= level : code.Dpl == level);
        if (!code.IsCode || !isAllowed || (_state->LongMode != 0 && code.IsLong && code.IsBig))
        {
            return _segments.Refuse(ExceptionVector.GeneralProtection, selector);
        }

        return code.IsPresent || _segments.Refuse(ExceptionVector.SegmentNotPresent, selector);
    }

    // Loads CS:RIP and SS:RSP of the level in CS's RPL, and drops data segments it may not see.
    private bool TryToOuter(ushort selector, Descriptor code, ulong rip, ushort stackSelector, ulong pointer)
    {
        uint level = selector & 3u;
        bool is64Bit = _state->LongMode != 0 && code.IsLong;
        if (!_segments.TryCheckStack(
                stackSelector, level, is64Bit, ExceptionVector.GeneralProtection, out Segment stack)
            || !vcpu.Transfers.TryEnter(selector, code, rip, level))
        {
            return false;
        }

        _stack.Switch(stack, pointer, level);
        _segments.DropInnerData();
        return true;
    }

    private bool TryInterruptReturnReal(int bytes)
    {
        if (!_stack.TryPeek(bytes, 2, out ulong flags) || !TryReturnParagraph(bytes, bytes))
        {
            return false;
        }

        ulong writable = IretFlags | Rflags.Interrupt | Rflags.IoPrivilege;
        SetFlags(bytes, flags, writable);
        return true;
    }

    // Spec: SDM volume 3, 20.2.7 (IOPL) and 20.3 (VME).
    private bool TryInterruptReturnVirtual(int bytes)
    {
        ulong current = _state->Rflags;
        bool isTrusted = (current & Rflags.IoPrivilege) == Rflags.IoPrivilege;
        bool hasExtensions = (_state->Cr4 & Cr4.Virtual8086Extensions) != 0;
        if (!isTrusted && !(hasExtensions && bytes == 2))
        {
            return _segments.Refuse(ExceptionVector.GeneralProtection, 0);
        }

        if (!_stack.TryPeek(bytes, 2, out ulong flags))
        {
            return false;
        }

        bool wantsInterrupts = (flags & Rflags.Interrupt) != 0;
        bool isBlocked = (wantsInterrupts && (current & Rflags.VirtualInterruptPending) != 0)
            || (flags & Rflags.Trap) != 0;
        if (!isTrusted && isBlocked)
        {
            return _segments.Refuse(ExceptionVector.GeneralProtection, 0);
        }

        if (!TryReturnParagraph(bytes, bytes))
        {
            return false;
        }

        SetFlags(bytes, flags, isTrusted ? IretFlags | Rflags.Interrupt : IretFlags);
        if (!isTrusted)
        {
            _state->Rflags = wantsInterrupts
                ? _state->Rflags | Rflags.VirtualInterrupt
                : _state->Rflags & ~Rflags.VirtualInterrupt;
        }

        return true;
    }

    private bool TryInterruptReturnProtected(int bytes)
    {
        if (!_stack.TryPeek(bytes, 0, out ulong rip) || !_stack.TryPeek(bytes, 1, out ulong raw)
            || !_stack.TryPeek(bytes, 2, out ulong flags))
        {
            return false;
        }

        uint cpl = _state->Cpl;
        if (_state->LongMode == 0 && bytes == 4 && cpl == 0 && (flags & Rflags.Virtual8086) != 0)
        {
            return TryEnterVirtual(rip, raw, flags);
        }

        ushort selector = (ushort)raw;
        bool wasIn64Bit = _state->CodeMode == 2;
        if (!TryCheckCode(selector, out Descriptor code))
        {
            return false;
        }

        if ((selector & 3u) == cpl && !wasIn64Bit)
        {
            if (!vcpu.Transfers.TryEnter(selector, code, rip, cpl))
            {
                return false;
            }

            vcpu.Mmu.AddToStackPointer(bytes * 3);
        }
        else if (!_stack.TryPeek(bytes, 3, out ulong pointer)
            || !_stack.TryPeek(bytes, 4, out ulong stackSelector)
            || !TryToOuter(selector, code, rip, (ushort)stackSelector, pointer))
        {
            return false;
        }

        ulong writable = IretFlags;
        if (cpl == 0)
        {
            writable |= Rflags.IoPrivilege | Rflags.VirtualInterrupt | Rflags.VirtualInterruptPending;
        }

        if (cpl <= (_state->Rflags & Rflags.IoPrivilege) >> Rflags.IoPrivilegeShift)
        {
            writable |= Rflags.Interrupt;
        }

        SetFlags(bytes, flags, writable);
        return true;
    }

    private bool TryEnterVirtual(ulong rip, ulong code, ulong flags)
    {
        ulong* values = stackalloc ulong[6]; // ESP, SS, ES, DS, FS, GS
        for (int i = 0; i < 6; i++)
        {
            if (!_stack.TryPeek(4, 3 + i, out values[i]))
            {
                return false;
            }
        }

        if (rip > 0xFFFF)
        {
            return _segments.Refuse(ExceptionVector.GeneralProtection, 0);
        }

        _state->Rflags = (flags & Rflags.Defined) | Rflags.AlwaysOne;
        _state->Cpl = 3;
        _segments.SetParagraph(SegmentRegister.Cs, (ushort)code);
        _segments.SetParagraph(SegmentRegister.Ss, (ushort)values[1]);
        _segments.SetParagraph(SegmentRegister.Es, (ushort)values[2]);
        _segments.SetParagraph(SegmentRegister.Ds, (ushort)values[3]);
        _segments.SetParagraph(SegmentRegister.Fs, (ushort)values[4]);
        _segments.SetParagraph(SegmentRegister.Gs, (ushort)values[5]);
        _state->Gpr[4] = (uint)values[0];
        _state->Rip = rip;
        return true;
    }

    private void SetFlags(int bytes, ulong flags, ulong writable)
    {
        if (bytes == 2)
        {
            writable &= 0xFFFF;
        }

        _state->Rflags = (_state->Rflags & ~writable) | (flags & writable);
    }
}
