using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Segmentation;

/// <summary>Hardware task switches. Spec: SDM volume 3, chapter 7, and table 7-1 for the exceptions.</summary>
/// <remarks>
/// Faults before the new task is entered belong to the old one; later ones to the new one, with its registers loaded.
/// </remarks>
internal sealed unsafe class TaskSwitch(Vcpu vcpu)
{
    // Local breakpoints and LE: DR7 bits 0, 2, 4, 6, 8.
    private const ulong LocalBreakpoints = 0x155;

    private readonly CpuState* _state = vcpu.State;
    private readonly SegmentUnit _segments = vcpu.Segments;

    /// <summary>
    /// Switches for JMP, CALL or IRET: a fault of the new task is delivered in it. False: none began.
    /// </summary>
    internal bool TryTransfer(ushort selector, TaskSwitchCause cause)
    {
        if (!TrySwitch(selector, cause, out bool hasCommitted))
        {
            if (!hasCommitted)
            {
                return false;
            }

            vcpu.Exceptions.DeliverFault();
        }

        return true;
    }

    /// <summary>Switches to the task of the TSS at <paramref name="selector"/>.</summary>
    /// <param name="selector">A TSS in the GDT.</param>
    /// <param name="cause">What asks for it.</param>
    /// <param name="hasCommitted">Whether the registers are the new task's, also when the result is false.</param>
    internal bool TrySwitch(ushort selector, TaskSwitchCause cause, out bool hasCommitted)
    {
        hasCommitted = false;
        byte vector = cause == TaskSwitchCause.Return ? ExceptionVector.InvalidTss : ExceptionVector.GeneralProtection;
        if ((selector & 4) != 0 || (selector & 0xFFFC) == 0)
        {
            return _segments.Refuse(vector, selector);
        }

        if (!_segments.TryRead(selector, vector, out Descriptor target))
        {
            return false;
        }

        int wantedBusy = cause == TaskSwitchCause.Return ? SystemType.Busy : 0;
        int kind = target.Type & ~SystemType.Busy;
        bool isTss = target.IsSystem && kind is SystemType.Tss16 or SystemType.Tss32;
        if (!isTss || (target.Type & SystemType.Busy) != wantedBusy)
        {
            return _segments.Refuse(vector, selector);
        }

        if (!target.IsPresent)
        {
            return _segments.Refuse(ExceptionVector.SegmentNotPresent, selector);
        }

        bool isWide = kind == SystemType.Tss32;
        if (target.Limit < (isWide ? TaskImage.LimitMin32 : TaskImage.LimitMin16))
        {
            return _segments.Refuse(ExceptionVector.InvalidTss, selector);
        }

        if (!TaskImage.TryRead(vcpu, target.Base, isWide, out TaskImage image) || !TryLeave(selector, target, cause))
        {
            return false;
        }

        if (cause is TaskSwitchCause.Call or TaskSwitchCause.Interrupt)
        {
            image.Eflags |= (uint)Rflags.NestedTask;
        }

        hasCommitted = true;
        return TryCommit(selector, target, isWide, image);
    }

    // Saves the old task and moves the busy bits and the back link.
    private bool TryLeave(ushort selector, Descriptor target, TaskSwitchCause cause)
    {
        ref Segment task = ref _state->Segments[SegmentRegister.Tr];
        bool isNested = cause is TaskSwitchCause.Call or TaskSwitchCause.Interrupt;
        uint eflags = (uint)ArithmeticFlags.Materialize(_state);
        if (cause == TaskSwitchCause.Return)
        {
            eflags &= ~(uint)Rflags.NestedTask;
        }

        if (!TaskImage.TrySave(vcpu, task.Base, (task.Attributes & 8) != 0, eflags)
            || (isNested && !vcpu.Mmu.TryWriteSystem((uint)target.Base, task.Selector)))
        {
            return false;
        }

        if (!isNested)
        {
            if (!_segments.TryRead(task.Selector, ExceptionVector.InvalidTss, out Descriptor old)
                || !_segments.TryWriteType(task.Selector, old, old.Type & ~SystemType.Busy))
            {
                return false;
            }
        }

        return cause == TaskSwitchCause.Return
            || _segments.TryWriteType(selector, target, target.Type | SystemType.Busy);
    }

    private bool TryCommit(ushort selector, Descriptor target, bool isWide, in TaskImage image)
    {
        Segment task = target.ToSegment(selector);
        task.Attributes |= SystemType.Busy;
        _state->Segments[SegmentRegister.Tr] = task;
        _state->Cr0 |= Cr0.TaskSwitched;
        _state->Dr[7] &= ~LocalBreakpoints;
        if (isWide && (_state->Cr0 & Cr0.Paging) != 0)
        {
            vcpu.Control.LoadTaskCr3(image.Cr3);
        }

        for (int i = 0; i < 8; i++)
        {
            _state->Gpr[i] = image.Registers[i];
        }

        _state->Rip = image.Eip;
        ulong eflags = isWide ? image.Eflags : image.Eflags & 0xFFFF;
        _state->Rflags = (eflags & Rflags.Defined) | Rflags.AlwaysOne;
        _state->LazyShift = ArithmeticFlags.Explicit;
        _state->Segments[SegmentRegister.Ldtr] = SegmentUnit.Null(image.Ldt);
        for (int i = 0; i < 6; i++)
        {
            _state->Segments[i] = SegmentUnit.Null(image.Selectors[i]);
        }

        bool isVirtual = (eflags & Rflags.Virtual8086) != 0;
        _state->Cpl = isVirtual ? 3u : image.Selectors[SegmentRegister.Cs] & 3u;
        bool loaded = TryLoadLocalTable(image.Ldt) && (isVirtual ? LoadParagraphs(image) : TryLoadSegments(image));
        _segments.UpdateMode();
        vcpu.Events.OnFlagsChanged();
        if (loaded && image.IsTrapped)
        {
            vcpu.Events.PendTaskTrap();
        }

        return loaded && CheckEip();
    }

    private bool CheckEip()
        => _state->Rip <= _state->Segments[SegmentRegister.Cs].Limit
            || _segments.Refuse(ExceptionVector.GeneralProtection, 0);

    private bool TryLoadLocalTable(ushort selector)
    {
        if ((selector & 0xFFFC) == 0)
        {
            return true;
        }

        if ((selector & 4) != 0
            || !_segments.TryEntryAddress(selector, 8, out _))
        {
            return _segments.Refuse(ExceptionVector.InvalidTss, selector);
        }

        if (!_segments.TryRead(selector, ExceptionVector.InvalidTss, out Descriptor table))
        {
            return false;
        }

        if (!table.IsSystem || table.Type != SystemType.Ldt || !table.IsPresent)
        {
            return _segments.Refuse(ExceptionVector.InvalidTss, selector);
        }

        _state->Segments[SegmentRegister.Ldtr] = table.ToSegment(selector);
        return true;
    }

    private bool LoadParagraphs(in TaskImage image)
    {
        for (int i = 0; i < 6; i++)
        {
            _segments.SetParagraph(i, image.Selectors[i]);
        }

        return true;
    }

    private bool TryLoadSegments(in TaskImage image)
    {
        ushort code = image.Selectors[SegmentRegister.Cs];
        if ((code & 0xFFFC) == 0)
        {
            return _segments.Refuse(ExceptionVector.InvalidTss, code);
        }

        if (!_segments.TryRead(code, ExceptionVector.InvalidTss, out Descriptor descriptor))
        {
            return false;
        }

        bool isAllowed = descriptor.IsConforming ? descriptor.Dpl <= (code & 3u) : descriptor.Dpl == (code & 3u);
        if (!descriptor.IsCode || !isAllowed)
        {
            return _segments.Refuse(ExceptionVector.InvalidTss, code);
        }

        if (!descriptor.IsPresent)
        {
            return _segments.Refuse(ExceptionVector.SegmentNotPresent, code);
        }

        if (!_segments.TryMarkAccessed(code, descriptor))
        {
            return false;
        }

        _state->Segments[SegmentRegister.Cs] = descriptor.ToSegment(code);
        if (!_segments.TryCheckStack(
            image.Selectors[SegmentRegister.Ss], _state->Cpl, false, ExceptionVector.InvalidTss, out Segment stack))
        {
            return false;
        }

        _state->Segments[SegmentRegister.Ss] = stack;
        return TryLoadData(SegmentRegister.Es, image) && TryLoadData(SegmentRegister.Ds, image)
            && TryLoadData(SegmentRegister.Fs, image) && TryLoadData(SegmentRegister.Gs, image);
    }

    private bool TryLoadData(int register, in TaskImage image)
    {
        if (!_segments.TryCheckData(image.Selectors[register], ExceptionVector.InvalidTss, out Segment data))
        {
            return false;
        }

        _state->Segments[register] = data;
        return true;
    }
}
