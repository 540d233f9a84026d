using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Segmentation;

/// <summary>Loads segment registers and keeps what follows from them: CPL, code mode, stack width, TLB table.</summary>
/// <remarks>
/// Spec: SDM volume 3, chapters 3 and 5. A method that returns false has recorded the exception and changed nothing.
/// </remarks>
internal sealed unsafe class SegmentUnit(Vcpu vcpu)
{
    // Present, not system, read/write data, accessed; DPL 3 in virtual-8086 mode.
    private const uint RealModeAttributes = 0x93;
    private const uint VirtualAttributes = 0xF3;

    private readonly CpuState* _state = vcpu.State;

    internal bool IsProtected => (_state->Cr0 & Cr0.ProtectionEnable) != 0;

    internal bool IsVirtual8086 => (_state->Rflags & Rflags.Virtual8086) != 0;

    /// <summary>Real or virtual-8086 mode: a selector is a paragraph number.</summary>
    internal bool IsParagraphMode => !IsProtected || IsVirtual8086;

    /// <summary>Recomputes everything that depends on CS, SS, CPL, EFER.LMA and the paging controls.</summary>
    internal void UpdateMode()
    {
        _state->LongMode = (_state->Efer & Efer.LongModeActive) != 0 ? 1u : 0;
        uint code = _state->Segments[SegmentRegister.Cs].Attributes;
        if (_state->LongMode != 0 && (code & SegmentBits.Long) != 0)
        {
            _state->CodeMode = 2;
            _state->StackMask = ulong.MaxValue;
        }
        else
        {
            _state->CodeMode = (code & SegmentBits.Big) != 0 ? 1u : 0;
            uint stack = _state->Segments[SegmentRegister.Ss].Attributes;
            _state->StackMask = (stack & SegmentBits.Big) != 0 ? uint.MaxValue : 0xFFFF;
        }

        vcpu.Mmu.UpdateMode();
    }

    internal void Save(out TransferSnapshot snapshot)
    {
        snapshot.Segments = _state->Segments;
        snapshot.StackPointer = _state->Gpr[4];
        snapshot.Rip = _state->Rip;
        snapshot.Rflags = ArithmeticFlags.Materialize(_state);
        snapshot.Cpl = _state->Cpl;
    }

    internal void Restore(in TransferSnapshot snapshot)
    {
        _state->Segments = snapshot.Segments;
        _state->Gpr[4] = snapshot.StackPointer;
        _state->Rip = snapshot.Rip;
        _state->Rflags = snapshot.Rflags;
        _state->Cpl = snapshot.Cpl;
        UpdateMode();
    }

    /// <summary>Records an exception about <paramref name="selector"/>; always false.</summary>
    internal bool Refuse(byte vector, ushort selector)
    {
        vcpu.Raise(vector, selector & 0xFFFCu);
        return false;
    }

    /// <summary>Reads a descriptor; outside its table: <paramref name="vector"/> with the selector.</summary>
    internal bool TryRead(ushort selector, byte vector, out Descriptor descriptor)
    {
        descriptor = default;
        if (!TryEntryAddress(selector, 8, out ulong linear))
        {
            return Refuse(vector, selector);
        }

        if (!vcpu.Mmu.TryReadSystem(linear, out ulong low))
        {
            return false;
        }

        descriptor = new Descriptor(low);
        return true;
    }

    /// <summary>As <see cref="TryRead"/>, for a system descriptor: it has 16 bytes in long mode.</summary>
    internal bool TryReadSystem(ushort selector, byte vector, out Descriptor descriptor)
    {
        if (_state->LongMode == 0)
        {
            return TryRead(selector, vector, out descriptor);
        }

        descriptor = default;
        if (!TryEntryAddress(selector, 16, out ulong linear))
        {
            return Refuse(vector, selector);
        }

        if (!vcpu.Mmu.TryReadSystem(linear, out ulong low) || !vcpu.Mmu.TryReadSystem(linear + 8, out ulong high))
        {
            return false;
        }

        descriptor = new Descriptor(low, high);
        return (high & (0x1Ful << 40)) == 0 || Refuse(vector, selector); // the type of the upper half must be 0
    }

    /// <summary>Sets the accessed bit in memory. Spec: SDM volume 3, 3.4.5.1.</summary>
    internal bool TryMarkAccessed(ushort selector, Descriptor descriptor)
        => (descriptor.Type & 1) != 0 || TryWriteType(selector, descriptor, descriptor.Type | 1);

    /// <summary>Replaces the type field in memory: accessed and busy bits.</summary>
    internal bool TryWriteType(ushort selector, Descriptor descriptor, int type)
        => TryEntryAddress(selector, 8, out ulong linear)
            && vcpu.Mmu.TryWriteSystem(linear + 5, (byte)(((descriptor.Low >> 40) & 0xF0) | (uint)type));

    /// <summary>Loads ES, SS, DS, FS or GS as MOV and POP do.</summary>
    internal bool TryLoad(int register, ushort selector)
    {
        if (IsParagraphMode)
        {
            SetParagraph(register, selector);
        }
        else if (register == SegmentRegister.Ss)
        {
            if (!TryCheckStack(selector, _state->Cpl, _state->CodeMode == 2, ExceptionVector.GeneralProtection,
                out Segment stack))
            {
                return false;
            }

            _state->Segments[SegmentRegister.Ss] = stack;
        }
        else if (!TryCheckData(selector, ExceptionVector.GeneralProtection, out Segment data))
        {
            return false;
        }
        else
        {
            _state->Segments[register] = data;
        }

        UpdateMode();
        return true;
    }

    /// <summary>
    /// Loads a register in real or virtual-8086 mode. Real mode keeps limit and width, which is what makes "unreal"
    /// mode work. CS becomes writable.
    /// </summary>
    internal void SetParagraph(int register, ushort selector)
    {
        ref Segment segment = ref _state->Segments[register];
        segment.Selector = selector;
        segment.Base = (ulong)selector << 4;
        if (IsVirtual8086)
        {
            segment.Limit = 0xFFFF;
            segment.Attributes = VirtualAttributes;
        }
        else
        {
            if ((segment.Attributes & SegmentBits.Unusable) != 0)
            {
                segment.Limit = 0xFFFF;
            }

            const uint Kept = SegmentBits.Big | SegmentBits.Granularity;
            segment.Attributes = (segment.Attributes & Kept) | RealModeAttributes;
        }
    }

    /// <summary>The hidden part of a null selector.</summary>
    internal static Segment Null(ushort selector) => new() { Selector = selector, Attributes = SegmentBits.Unusable };

    /// <summary>Checks a stack segment for privilege <paramref name="cpl"/>.</summary>
    /// <param name="selector">What to load.</param>
    /// <param name="cpl">CPL that will use the stack.</param>
    /// <param name="allowsNull">The stack will be used by 64-bit code.</param>
    /// <param name="vector">#GP, or #TS when the selector comes from a TSS.</param>
    /// <param name="stack">The register's new value.</param>
    internal bool TryCheckStack(ushort selector, uint cpl, bool allowsNull, byte vector, out Segment stack)
    {
        stack = Null(selector);
        if ((selector & 0xFFFC) == 0)
        {
            return (allowsNull && cpl != 3 && (selector & 3) == cpl) || Refuse(vector, 0);
        }

        if (!TryRead(selector, vector, out Descriptor descriptor))
        {
            return false;
        }

        if ((selector & 3) != cpl || !descriptor.IsWritableData || descriptor.Dpl != cpl)
        {
            return Refuse(vector, selector);
        }

        if (!descriptor.IsPresent)
        {
            return Refuse(ExceptionVector.StackFault, selector);
        }

        stack = descriptor.ToSegment(selector);
        return TryMarkAccessed(selector, descriptor);
    }

    /// <summary>Checks a segment for ES, DS, FS or GS; <paramref name="vector"/> is #GP or #TS.</summary>
    internal bool TryCheckData(ushort selector, byte vector, out Segment data)
    {
        data = Null(selector);
        if ((selector & 0xFFFC) == 0)
        {
            return true;
        }

        if (!TryRead(selector, vector, out Descriptor descriptor))
        {
            return false;
        }

        uint requested = selector & 3u;
        bool isPrivileged = !descriptor.IsConforming
            && (requested > descriptor.Dpl || _state->Cpl > descriptor.Dpl);
        if (!descriptor.IsReadable || isPrivileged)
        {
            return Refuse(vector, selector);
        }

        if (!descriptor.IsPresent)
        {
            return Refuse(ExceptionVector.SegmentNotPresent, selector);
        }

        data = descriptor.ToSegment(selector);
        return TryMarkAccessed(selector, descriptor);
    }

    /// <summary>Nulls data segments that the outer level may not use. Spec: SDM volume 2, RET, IRET.</summary>
    internal void DropInnerData()
    {
        DropInner(SegmentRegister.Es);
        DropInner(SegmentRegister.Ds);
        DropInner(SegmentRegister.Fs);
        DropInner(SegmentRegister.Gs);
    }

    /// <summary>Linear address of a descriptor; false: outside the table.</summary>
    internal bool TryEntryAddress(ushort selector, int bytes, out ulong linear)
    {
        ref readonly Segment table = ref _state->Gdtr;
        if ((selector & 4) != 0)
        {
            table = ref _state->Segments[SegmentRegister.Ldtr];
        }

        uint offset = selector & 0xFFF8u;
        linear = table.Base + offset;
        if (_state->LongMode == 0)
        {
            linear = (uint)linear;
        }

        bool exists = (selector & 4) == 0 || (table.Attributes & SegmentBits.Unusable) == 0;
        return exists && offset + (uint)(bytes - 1) <= table.Limit;
    }

    private void DropInner(int register)
    {
        ref Segment segment = ref _state->Segments[register];
        bool isConforming = (segment.Attributes & 0xC) == 0xC;

        // A null FS or GS keeps the base that an MSR gave it: thread pointers in long mode live so.
        bool isNull = (segment.Attributes & SegmentBits.Unusable) != 0;
        uint privilege = (segment.Attributes & SegmentBits.DplMask) >> SegmentBits.DplShift;
        if (!isNull && !isConforming && privilege < _state->Cpl)
        {
            segment = Null(0);
        }
    }
}
