using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Segmentation;

/// <summary>What virtual-8086 mode and VME change: INT n, and the I/O permission bitmap.</summary>
/// <remarks>Spec: SDM volume 3, 20.2.7, 20.3; volume 1, 19.5.2 (bitmap).</remarks>
internal sealed unsafe class Virtual8086(Vcpu vcpu)
{
    private const uint BitmapBaseOffset = 0x66;
    private const uint RedirectionBytes = 32;

    private readonly CpuState* _state = vcpu.State;

    private bool IsTrusted => (_state->Rflags & Rflags.IoPrivilege) == Rflags.IoPrivilege;

    /// <summary>INT n in virtual-8086 mode: through the guest's own vectors, through the IDT, or #GP.</summary>
    internal bool TryInterrupt(byte vector)
    {
        if ((_state->Cr4 & Cr4.Virtual8086Extensions) != 0)
        {
            if (!TryIsRedirected(vector, out bool isRedirected))
            {
                return false;
            }

            if (isRedirected)
            {
                return TryRedirect(vector);
            }
        }

        return IsTrusted
            ? vcpu.Exceptions.TryDeliverSoftware(vector)
            : vcpu.Segments.Refuse(ExceptionVector.GeneralProtection, 0);
    }

    /// <summary>Whether IN, OUT and their like may use <paramref name="port"/> now.</summary>
    internal bool TryAllowPort(ushort port, int sizeBytes)
    {
        if (!vcpu.Segments.IsProtected)
        {
            return true;
        }

        ulong privilege = (_state->Rflags & Rflags.IoPrivilege) >> Rflags.IoPrivilegeShift;
        if (!vcpu.Segments.IsVirtual8086 && _state->Cpl <= privilege)
        {
            return true;
        }

        ref readonly Segment task = ref _state->Segments[SegmentRegister.Tr];
        bool hasBitmap = (task.Attributes & 8) != 0 && task.Limit >= BitmapBaseOffset + 1;
        if (!hasBitmap)
        {
            return vcpu.Segments.Refuse(ExceptionVector.GeneralProtection, 0);
        }

        if (!vcpu.Mmu.TryReadSystem(task.Base + BitmapBaseOffset, out ushort bitmap))
        {
            return false;
        }

        // Two bytes are read always: an access may go on into the next one.
        uint offset = bitmap + (port / 8u);
        if (offset + 1 > task.Limit)
        {
            return vcpu.Segments.Refuse(ExceptionVector.GeneralProtection, 0);
        }

        if (!vcpu.Mmu.TryReadSystem(task.Base + offset, out ushort bits))
        {
            return false;
        }

        uint mask = ((1u << sizeBytes) - 1) << (port & 7);
        return (bits & mask) == 0 || vcpu.Segments.Refuse(ExceptionVector.GeneralProtection, 0);
    }

    private bool TryIsRedirected(byte vector, out bool isRedirected)
    {
        isRedirected = false;
        ref readonly Segment task = ref _state->Segments[SegmentRegister.Tr];
        if (task.Limit < BitmapBaseOffset + 1)
        {
            return vcpu.Segments.Refuse(ExceptionVector.GeneralProtection, 0);
        }

        if (!vcpu.Mmu.TryReadSystem(task.Base + BitmapBaseOffset, out ushort bitmap))
        {
            return false;
        }

        uint offset = bitmap - RedirectionBytes + (vector / 8u);
        if (offset > task.Limit)
        {
            return vcpu.Segments.Refuse(ExceptionVector.GeneralProtection, 0);
        }

        if (!vcpu.Mmu.TryReadSystem(task.Base + offset, out byte bits))
        {
            return false;
        }

        isRedirected = (bits & (1 << (vector & 7))) == 0;
        return true;
    }

    // As in real mode, inside the virtual machine. Without IOPL 3, VIF plays IF's part.
    private bool TryRedirect(byte vector)
    {
        vcpu.Segments.Save(out TransferSnapshot snapshot);
        ulong flags = _state->Rflags & ~Rflags.Resume;
        bool isTrusted = IsTrusted;
        ulong image = flags;
        if (!isTrusted)
        {
            bool virtualInterrupts = (flags & Rflags.VirtualInterrupt) != 0;
            image = (flags & ~Rflags.Interrupt) | Rflags.IoPrivilege | (virtualInterrupts ? Rflags.Interrupt : 0);
        }

        // The vectors lie at linear address 0 and are read as the program itself would.
        if (!vcpu.Mmu.TryReadLinear(vector * 4u, SegmentRegister.Ds, out uint target)
            || !vcpu.Stack.TryPush(2, image)
            || !vcpu.Stack.TryPush(2, _state->Segments[SegmentRegister.Cs].Selector)
            || !vcpu.Stack.TryPush(2, _state->Rip))
        {
            vcpu.Segments.Restore(snapshot);
            return false;
        }

        vcpu.Segments.SetParagraph(SegmentRegister.Cs, (ushort)(target >> 16));
        _state->Rip = (ushort)target;
        _state->Rflags = flags & ~(Rflags.Trap | (isTrusted ? Rflags.Interrupt : Rflags.VirtualInterrupt));
        vcpu.Events.OnDelivered();
        return true;
    }
}
