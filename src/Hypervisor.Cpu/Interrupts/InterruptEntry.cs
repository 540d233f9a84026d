using Hypervisor.Cpu.Segmentation;
using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Interrupts;

/// <summary>Enters one interrupt or exception handler. Spec: SDM volume 3, 6.12, 6.14, 20.3; volume 2, INT n.</summary>
/// <remarks>Works on the live registers; the caller takes them back when it returns false.</remarks>
internal sealed unsafe class InterruptEntry(Vcpu vcpu)
{
    private const ulong ClearedByEntry = Rflags.Trap | Rflags.NestedTask | Rflags.Resume | Rflags.Virtual8086;

    // Offsets in the long-mode TSS: RSP0, and the stack before IST1.
    private const uint LongTssStack0 = 4;
    private const uint LongTssStackTable = 0x1C;

    private readonly CpuState* _state = vcpu.State;
    private readonly SegmentUnit _segments = vcpu.Segments;
    private readonly StackFrame _stack = vcpu.Stack;

    /// <summary>Enters the handler; false: an exception is recorded.</summary>
    /// <param name="event">What happened.</param>
    /// <param name="hasSwitchedTask">The registers are another task's, also when the result is false.</param>
    internal bool TryEnter(in InterruptEvent @event, out bool hasSwitchedTask)
    {
        hasSwitchedTask = false;
        ulong image = ArithmeticFlags.Materialize(_state) & ~Rflags.Resume;
        if (@event.SetsResume)
        {
            image |= Rflags.Resume;
        }

        return !_segments.IsProtected ? TryEnterReal(@event, image)
            : _state->LongMode != 0 ? TryEnterLong(@event, image)
            : TryEnterProtected(@event, image, out hasSwitchedTask);
    }

    private bool TryEnterReal(in InterruptEvent @event, ulong image)
    {
        uint offset = @event.Vector * 4u;
        if (offset + 3 > _state->Idtr.Limit)
        {
            return RefuseGate(ExceptionVector.GeneralProtection, @event.Vector);
        }

        if (!vcpu.Mmu.TryReadSystem((uint)(_state->Idtr.Base + offset), out uint target)
            || !_stack.TryPush(2, image)
            || !_stack.TryPush(2, _state->Segments[SegmentRegister.Cs].Selector)
            || !_stack.TryPush(2, _state->Rip))
        {
            return false;
        }

        _segments.SetParagraph(SegmentRegister.Cs, (ushort)(target >> 16));
        _state->Rip = (ushort)target;
        _state->Rflags &= ~(Rflags.Interrupt | Rflags.Trap | Rflags.AlignmentCheck | Rflags.Resume);
        return true;
    }

    private bool TryEnterLong(in InterruptEvent @event, ulong image)
    {
        uint offset = @event.Vector * 16u;
        if (offset + 15 > _state->Idtr.Limit)
        {
            return RefuseGate(ExceptionVector.GeneralProtection, @event.Vector);
        }

        if (!vcpu.Mmu.TryReadSystem(_state->Idtr.Base + offset, out ulong low)
            || !vcpu.Mmu.TryReadSystem(_state->Idtr.Base + offset + 8, out ulong high))
        {
            return false;
        }

        var gate = new Descriptor(low, high);
        bool isGate = gate.IsSystem && gate.Type is SystemType.InterruptGate32 or SystemType.TrapGate32;
        if (!TryCheckGate(@event, gate, isGate) || !TryCheckCode(gate.GateSelector, out Descriptor code))
        {
            return false;
        }

        if (!code.IsLong || code.IsBig)
        {
            return _segments.Refuse(ExceptionVector.GeneralProtection, gate.GateSelector);
        }

        uint level = code.IsConforming ? _state->Cpl : code.Dpl;
        bool isInner = level < _state->Cpl;
        ulong pointer = _state->Gpr[4];
        if (gate.StackTableIndex != 0)
        {
            if (!_stack.TryReadLong(LongTssStackTable + ((uint)gate.StackTableIndex * 8), out pointer))
            {
                return false;
            }
        }
        else if (isInner && !_stack.TryReadLong(LongTssStack0 + (level * 8), out pointer))
        {
            return false;
        }

        ulong outerStack = _state->Segments[SegmentRegister.Ss].Selector;
        ulong outerPointer = _state->Gpr[4];
        ulong outerCode = _state->Segments[SegmentRegister.Cs].Selector;
        ulong outerRip = _state->Rip;
        if (!vcpu.Transfers.TryEnter(gate.GateSelector, code, gate.GateOffset, level))
        {
            return false;
        }

        Segment stack = isInner ? SegmentUnit.Null((ushort)level) : _state->Segments[SegmentRegister.Ss];
        _stack.Switch(stack, pointer & ~0xFul, level);
        bool pushed = _stack.TryPush(8, outerStack) && _stack.TryPush(8, outerPointer) && _stack.TryPush(8, image)
            && _stack.TryPush(8, outerCode) && _stack.TryPush(8, outerRip)
            && (!@event.HasErrorCode || _stack.TryPush(8, @event.ErrorCode));
        if (pushed)
        {
            ClearFlags(gate.Type);
        }

        return pushed;
    }

    private bool TryEnterProtected(in InterruptEvent @event, ulong image, out bool hasSwitchedTask)
    {
        hasSwitchedTask = false;
        uint offset = @event.Vector * 8u;
        if (offset + 7 > _state->Idtr.Limit)
        {
            return RefuseGate(ExceptionVector.GeneralProtection, @event.Vector);
        }

        if (!vcpu.Mmu.TryReadSystem((uint)(_state->Idtr.Base + offset), out ulong low))
        {
            return false;
        }

        var gate = new Descriptor(low);
        bool isGate = gate.IsSystem && gate.Type is SystemType.TaskGate or SystemType.InterruptGate16
            or SystemType.TrapGate16 or SystemType.InterruptGate32 or SystemType.TrapGate32;
        if (!TryCheckGate(@event, gate, isGate))
        {
            return false;
        }

        if (gate.Type == SystemType.TaskGate)
        {
            return TryEnterTask(@event, gate, out hasSwitchedTask);
        }

        if (!TryCheckCode(gate.GateSelector, out Descriptor code))
        {
            return false;
        }

        int bytes = gate.Type >= SystemType.InterruptGate32 ? 4 : 2;
        ulong rip = bytes == 4 ? gate.GateOffset : gate.GateOffset & 0xFFFF;
        bool isVirtual = _segments.IsVirtual8086;
        bool isInner = !code.IsConforming && code.Dpl < _state->Cpl;
        if (isVirtual && (!isInner || code.Dpl != 0))
        {
            return _segments.Refuse(ExceptionVector.GeneralProtection, gate.GateSelector);
        }

        uint level = isInner ? code.Dpl : _state->Cpl;
        bool done = (!isInner || TryPushOuterStack(level, bytes, isVirtual))
            && _stack.TryPush(bytes, image)
            && _stack.TryPush(bytes, _state->Segments[SegmentRegister.Cs].Selector)
            && _stack.TryPush(bytes, _state->Rip)
            && (!@event.HasErrorCode || _stack.TryPush(bytes, @event.ErrorCode))
            && vcpu.Transfers.TryEnter(gate.GateSelector, code, rip, level);
        if (done)
        {
            ClearFlags(gate.Type);
        }

        return done;
    }

    // Moves to the inner stack and pushes the outer one's pointer; from virtual-8086 mode the data segments as well.
    private bool TryPushOuterStack(uint level, int bytes, bool isVirtual)
    {
        if (!_stack.TryReadInner(level, out ushort selector, out ulong pointer)
            || !_segments.TryCheckStack(
                selector, level, allowsNull: false, ExceptionVector.InvalidTss, out Segment stack))
        {
            return false;
        }

        ushort outerStack = _state->Segments[SegmentRegister.Ss].Selector;
        ulong outerPointer = _state->Gpr[4];
        _state->Rflags &= ~Rflags.Virtual8086; // the pushes below are protected-mode ones
        _stack.Switch(stack, pointer, level);
        if (isVirtual && !TryPushVirtualSegments(bytes))
        {
            return false;
        }

        return _stack.TryPush(bytes, outerStack) && _stack.TryPush(bytes, outerPointer);
    }

    private bool TryPushVirtualSegments(int bytes)
    {
        bool pushed = _stack.TryPush(bytes, _state->Segments[SegmentRegister.Gs].Selector)
            && _stack.TryPush(bytes, _state->Segments[SegmentRegister.Fs].Selector)
            && _stack.TryPush(bytes, _state->Segments[SegmentRegister.Ds].Selector)
            && _stack.TryPush(bytes, _state->Segments[SegmentRegister.Es].Selector);
        _state->Segments[SegmentRegister.Gs] = SegmentUnit.Null(0);
        _state->Segments[SegmentRegister.Fs] = SegmentUnit.Null(0);
        _state->Segments[SegmentRegister.Ds] = SegmentUnit.Null(0);
        _state->Segments[SegmentRegister.Es] = SegmentUnit.Null(0);
        return pushed;
    }

    private bool TryEnterTask(in InterruptEvent @event, Descriptor gate, out bool hasSwitchedTask)
    {
        if (!vcpu.Tasks.TrySwitch(gate.GateSelector, TaskSwitchCause.Interrupt, out hasSwitchedTask))
        {
            return false;
        }

        int bytes = (_state->Segments[SegmentRegister.Tr].Attributes & 8) != 0 ? 4 : 2;
        return !@event.HasErrorCode || _stack.TryPush(bytes, @event.ErrorCode);
    }

    private bool TryCheckGate(in InterruptEvent @event, Descriptor gate, bool isGate)
    {
        if (!isGate || (@event.IsSoftware && gate.Dpl < _state->Cpl))
        {
            return RefuseGate(ExceptionVector.GeneralProtection, @event.Vector);
        }

        return gate.IsPresent || RefuseGate(ExceptionVector.SegmentNotPresent, @event.Vector);
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

        if (!code.IsCode || code.Dpl > _state->Cpl)
        {
            return _segments.Refuse(ExceptionVector.GeneralProtection, selector);
        }

        return code.IsPresent || _segments.Refuse(ExceptionVector.SegmentNotPresent, selector);
    }

    private bool RefuseGate(byte vector, byte gate)
    {
        vcpu.Raise(vector, ExceptionDelivery.IdtErrorCode(gate));
        return false;
    }

    // An interrupt gate clears IF, a trap gate does not.
    private void ClearFlags(int gateType)
        => _state->Rflags &= ~(ClearedByEntry | ((gateType & 1) == 0 ? Rflags.Interrupt : 0));
}
