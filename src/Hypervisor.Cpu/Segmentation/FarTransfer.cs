using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Segmentation;

/// <summary>Far JMP and CALL: code segments, call gates, and the way to task switches.</summary>
/// <remarks>Spec: SDM volume 2, JMP and CALL; volume 3, 5.8. On false nothing has changed.</remarks>
internal sealed unsafe class FarTransfer(Vcpu vcpu)
{
    private readonly CpuState* _state = vcpu.State;
    private readonly SegmentUnit _segments = vcpu.Segments;
    private readonly StackFrame _stack = vcpu.Stack;

    /// <summary>JMP ptr16:16/32 or m16:16/32/64.</summary>
    internal bool TryJump(ushort selector, ulong offset, int operandBytes)
    {
        _segments.Save(out TransferSnapshot snapshot);
        bool done = _segments.IsParagraphMode
            ? TryJumpParagraph(selector, offset)
            : TryTransfer(selector, offset, operandBytes, isCall: false);
        return Finish(done, snapshot);
    }

    /// <summary>CALL ptr16:16/32 or m16:16/32/64; RIP is the return address.</summary>
    internal bool TryCall(ushort selector, ulong offset, int operandBytes)
    {
        _segments.Save(out TransferSnapshot snapshot);
        bool done;
        if (_segments.IsParagraphMode)
        {
            done = TryPushReturn(operandBytes) && TryJumpParagraph(selector, offset);
        }
        else
        {
            done = TryTransfer(selector, offset, operandBytes, isCall: true);
        }

        return Finish(done, snapshot);
    }

    /// <summary>Sets CS and RIP after all checks of privilege; still checks the offset.</summary>
    internal bool TryEnter(ushort selector, Descriptor code, ulong rip, uint cpl)
    {
        if (_state->LongMode != 0 && code.IsLong)
        {
            if (!StackFrame.IsCanonical(rip))
            {
                return _segments.Refuse(ExceptionVector.GeneralProtection, 0);
            }
        }
        else if (rip > code.Limit)
        {
            return _segments.Refuse(ExceptionVector.GeneralProtection, 0);
        }

        if (!_segments.TryMarkAccessed(selector, code))
        {
            return false;
        }

        _state->Segments[SegmentRegister.Cs] = code.ToSegment((ushort)((selector & ~3) | (int)cpl));
        _state->Cpl = cpl;
        _state->Rip = rip;
        return true;
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

    private bool TryJumpParagraph(ushort selector, ulong offset)
    {
        if (offset > 0xFFFF && (_segments.IsVirtual8086 || offset > _state->Segments[SegmentRegister.Cs].Limit))
        {
            return _segments.Refuse(ExceptionVector.GeneralProtection, 0);
        }

        _segments.SetParagraph(SegmentRegister.Cs, selector);
        _state->Rip = offset;
        return true;
    }

    private bool TryPushReturn(int bytes)
        => _stack.TryPush(bytes, _state->Segments[SegmentRegister.Cs].Selector) && _stack.TryPush(bytes, _state->Rip);

    private bool TryTransfer(ushort selector, ulong offset, int operandBytes, bool isCall)
    {
        if ((selector & 0xFFFC) == 0)
        {
            return _segments.Refuse(ExceptionVector.GeneralProtection, 0);
        }

        if (!_segments.TryRead(selector, ExceptionVector.GeneralProtection, out Descriptor descriptor))
        {
            return false;
        }

        if (descriptor.IsSystem)
        {
            return TryThroughSystem(selector, descriptor, isCall);
        }

        uint requested = selector & 3u;
        uint cpl = _state->Cpl;
        bool isAllowed = descriptor.IsConforming
            ? descriptor.Dpl <= cpl
            : requested <= cpl && descriptor.Dpl == cpl;
        if (!descriptor.IsCode || !isAllowed || (_state->LongMode != 0 && descriptor.IsLong && descriptor.IsBig))
        {
            return _segments.Refuse(ExceptionVector.GeneralProtection, selector);
        }

        if (!descriptor.IsPresent)
        {
            return _segments.Refuse(ExceptionVector.SegmentNotPresent, selector);
        }

        return (!isCall || TryPushReturn(operandBytes)) && TryEnter(selector, descriptor, offset, cpl);
    }

    private bool TryThroughSystem(ushort selector, Descriptor descriptor, bool isCall)
    {
        // A TSS or gate may be used from its DPL outward to ring 0: both CPL and RPL must reach it.
        bool isReachable = descriptor.Dpl >= _state->Cpl && descriptor.Dpl >= (selector & 3u);
        bool isLong = _state->LongMode != 0;
        switch (descriptor.Type)
        {
            case SystemType.CallGate32 when isReachable:
            case SystemType.CallGate16 when isReachable && !isLong:
                return descriptor.IsPresent
                    ? TryCallGate(selector, descriptor, isCall)
                    : _segments.Refuse(ExceptionVector.SegmentNotPresent, selector);
            case SystemType.Tss16 or SystemType.Tss32 when isReachable && !isLong:
                return descriptor.IsPresent
                    ? vcpu.Tasks.TryTransfer(selector, isCall ? TaskSwitchCause.Call : TaskSwitchCause.Jump)
                    : _segments.Refuse(ExceptionVector.SegmentNotPresent, selector);
            case SystemType.TaskGate when isReachable && !isLong:
                return descriptor.IsPresent
                    ? vcpu.Tasks.TryTransfer(
                        descriptor.GateSelector, isCall ? TaskSwitchCause.Call : TaskSwitchCause.Jump)
                    : _segments.Refuse(ExceptionVector.SegmentNotPresent, selector);
            default:
                return _segments.Refuse(ExceptionVector.GeneralProtection, selector);
        }
    }

    private bool TryCallGate(ushort gateSelector, Descriptor gate, bool isCall)
    {
        bool isLong = _state->LongMode != 0;
        if (isLong && !_segments.TryReadSystem(gateSelector, ExceptionVector.GeneralProtection, out gate))
        {
            return false;
        }

        ushort selector = gate.GateSelector;
        if ((selector & 0xFFFC) == 0)
        {
            return _segments.Refuse(ExceptionVector.GeneralProtection, 0);
        }

        if (!_segments.TryRead(selector, ExceptionVector.GeneralProtection, out Descriptor code))
        {
            return false;
        }

        uint cpl = _state->Cpl;
        bool isInner = isCall && !code.IsConforming && code.Dpl < cpl;
        bool isAllowed = code.IsConforming || isCall ? code.Dpl <= cpl : code.Dpl == cpl;
        if (!code.IsCode || !isAllowed || (isLong && (!code.IsLong || code.IsBig)))
        {
            return _segments.Refuse(ExceptionVector.GeneralProtection, selector);
        }

        if (!code.IsPresent)
        {
            return _segments.Refuse(ExceptionVector.SegmentNotPresent, selector);
        }

        int bytes = isLong ? 8 : gate.Type == SystemType.CallGate32 ? 4 : 2;
        ulong offset = bytes == 2 ? gate.GateOffset & 0xFFFF : gate.GateOffset;
        if (isInner)
        {
            return isLong ? TryInnerLong(selector, code, offset) : TryInner(selector, code, gate, offset, bytes);
        }

        return (!isCall || TryPushReturn(bytes)) && TryEnter(selector, code, offset, cpl);
    }

    private bool TryInner(ushort selector, Descriptor code, Descriptor gate, ulong offset, int bytes)
    {
        uint* parameters = stackalloc uint[31];
        for (int i = 0; i < gate.GateCount; i++)
        {
            if (!_stack.TryPeek(bytes, i, out ulong parameter))
            {
                return false;
            }

            parameters[i] = (uint)parameter;
        }

        if (!_stack.TryReadInner(code.Dpl, out ushort stackSelector, out ulong pointer)
            || !_segments.TryCheckStack(
                stackSelector, code.Dpl, allowsNull: false, ExceptionVector.InvalidTss, out Segment stack))
        {
            return false;
        }

        ushort outerSelector = _state->Segments[SegmentRegister.Ss].Selector;
        ulong outerPointer = _state->Gpr[4];
        _stack.Switch(stack, pointer, code.Dpl);
        if (!_stack.TryPush(bytes, outerSelector) || !_stack.TryPush(bytes, outerPointer))
        {
            return false;
        }

        for (int i = gate.GateCount - 1; i >= 0; i--)
        {
            if (!_stack.TryPush(bytes, parameters[i]))
            {
                return false;
            }
        }

        return TryPushReturn(bytes) && TryEnter(selector, code, offset, code.Dpl);
    }

    private bool TryInnerLong(ushort selector, Descriptor code, ulong offset)
    {
        if (!_stack.TryReadLong(4 + (code.Dpl * 8), out ulong pointer))
        {
            return false;
        }

        ushort outerSelector = _state->Segments[SegmentRegister.Ss].Selector;
        ulong outerPointer = _state->Gpr[4];
        ushort outerCode = _state->Segments[SegmentRegister.Cs].Selector;
        ulong returnRip = _state->Rip;

        // The stack is a 64-bit one already: CS first, so that pushes see no limits.
        if (!TryEnter(selector, code, offset, code.Dpl))
        {
            return false;
        }

        _stack.Switch(SegmentUnit.Null((ushort)code.Dpl), pointer, code.Dpl);
        return _stack.TryPush(8, outerSelector) && _stack.TryPush(8, outerPointer)
            && _stack.TryPush(8, outerCode) && _stack.TryPush(8, returnRip);
    }
}
