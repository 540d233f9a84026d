using Hypervisor.Cpu.Identification;
using Hypervisor.Cpu.Instructions;
using Hypervisor.Cpu.Paging;
using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Control;

/// <summary>Writes of CR0, CR3, CR4, CR8, EFER and XCR0: their checks, and the changes of mode they make.</summary>
/// <remarks>Spec: SDM volume 3, 2.5, 4.1, 4.10.4, 9.8; volume 2, MOV to control registers. False: #GP(0) is
/// recorded.</remarks>
internal sealed unsafe class ControlRegisters(Vcpu vcpu)
{
    private const ulong Cr0Defined = Cr0.ProtectionEnable | Cr0.MonitorCoprocessor | Cr0.Emulation | Cr0.TaskSwitched
        | Cr0.ExtensionType | Cr0.NumericError | Cr0.WriteProtect | Cr0.AlignmentMask | Cr0.NotWriteThrough
        | Cr0.CacheDisable | Cr0.Paging;

    private const ulong NoFlush = 1ul << 63; // CR3, with CR4.PCIDE
    private const ulong PcidMask = 0xFFF;
    private const ulong PhysicalMask = (1ul << PageWalk.PhysicalAddressBits) - 1;

    // A change of these changes what cached translations may say. Spec: SDM volume 3, 4.10.4.1.
    private const ulong Cr0Flushing = Cr0.ProtectionEnable | Cr0.WriteProtect | Cr0.Paging;
    private const ulong Cr4Flushing = Cr4.PageSizeExtensions | Cr4.PhysicalAddressExtension | Cr4.PageGlobalEnable
        | Cr4.ProcessContextIdentifiers | Cr4.SupervisorExecutionPrevention | Cr4.SupervisorAccessPrevention;

    private const ulong EferDefined
        = Efer.SyscallEnable | Efer.LongModeEnable | Efer.LongModeActive | Efer.NoExecuteEnable;

    private readonly CpuState* _state = vcpu.State;
    private readonly ulong _cr4Defined = Cr4Bits(vcpu.Features);

    internal bool TryWriteCr0(ulong value)
    {
        ulong before = _state->Cr0;
        bool isPaging = (value & Cr0.Paging) != 0;
        bool wasPaging = (before & Cr0.Paging) != 0;
        bool isInconsistent = (isPaging && (value & Cr0.ProtectionEnable) == 0)
            || ((value & Cr0.NotWriteThrough) != 0 && (value & Cr0.CacheDisable) == 0)
            || value > uint.MaxValue;
        bool leavesWrongly = !isPaging && wasPaging
            && (_state->CodeMode == 2 || (_state->Cr4 & Cr4.ProcessContextIdentifiers) != 0);
        if (isInconsistent || leavesWrongly)
        {
            return Refuse();
        }

        ulong efer = _state->Efer;
        if (isPaging && !wasPaging && (efer & Efer.LongModeEnable) != 0)
        {
            bool codeIsLong = (_state->Segments[SegmentRegister.Cs].Attributes & SegmentBits.Long) != 0;
            bool taskIs16Bit = (_state->Segments[SegmentRegister.Tr].Attributes & 8) == 0;
            if ((_state->Cr4 & Cr4.PhysicalAddressExtension) == 0 || codeIsLong || taskIs16Bit)
            {
                return Refuse();
            }

            efer |= Efer.LongModeActive;
        }
        else if (!isPaging)
        {
            efer &= ~Efer.LongModeActive;
        }

        bool needsPointers = isPaging && !wasPaging && (efer & Efer.LongModeActive) == 0;
        if (needsPointers && !CheckPagePointers(_state->Cr3, _state->Cr4))
        {
            return Refuse();
        }

        _state->Cr0 = (value & Cr0Defined) | Cr0.ExtensionType;
        _state->Efer = efer;
        if (((before ^ value) & Cr0Flushing) != 0)
        {
            vcpu.Mmu.Tlb.FlushAll();
        }

        if (((before ^ value) & Cr0.ProtectionEnable) != 0)
        {
            _state->Cpl = 0;
        }

        vcpu.Segments.UpdateMode();
        return true;
    }

    internal bool TryWriteCr3(ulong value)
    {
        bool hasContexts = (_state->Cr4 & Cr4.ProcessContextIdentifiers) != 0;
        bool keepsTranslations = hasContexts && (value & NoFlush) != 0;
        ulong next = hasContexts ? value & ~NoFlush : value;
        bool loadsPointers = _state->LongMode == 0 && (_state->Cr0 & Cr0.Paging) != 0;
        if ((_state->LongMode != 0 && (next & ~PhysicalMask) != 0)
            || (loadsPointers && !CheckPagePointers(next, _state->Cr4)))
        {
            return Refuse();
        }

        // The TLB is not tagged: a change of address space drops what is not global; the guest's request to keep the
        // other context's translations can be honored only when nothing changes at all.
        bool isSame = next == _state->Cr3 && keepsTranslations;
        _state->Cr3 = _state->LongMode != 0 ? next : (uint)next;
        if (!isSame)
        {
            vcpu.Mmu.Tlb.FlushNonGlobal();
        }

        return true;
    }

    /// <summary>CR3 of a task switch: loaded without checks; a bad one faults at the first access.</summary>
    internal void LoadTaskCr3(uint value)
    {
        if (value != _state->Cr3)
        {
            _state->Cr3 = value;
            vcpu.Mmu.Tlb.FlushNonGlobal();
        }
    }

    internal bool TryWriteCr4(ulong value)
    {
        ulong before = _state->Cr4;
        ulong set = value & ~before;
        bool isLong = _state->LongMode != 0;
        bool losesLongMode = isLong && (value & Cr4.PhysicalAddressExtension) == 0;
        bool badContexts = (set & Cr4.ProcessContextIdentifiers) != 0
            && (!isLong || (_state->Cr3 & PcidMask) != 0);
        if ((value & ~_cr4Defined) != 0 || losesLongMode || badContexts)
        {
            return Refuse();
        }

        const ulong PointerBits = Cr4.PhysicalAddressExtension | Cr4.PageGlobalEnable | Cr4.PageSizeExtensions
            | Cr4.SupervisorExecutionPrevention;
        bool reloadsPointers = (_state->Cr0 & Cr0.Paging) != 0 && !isLong && ((before ^ value) & PointerBits) != 0;
        if (reloadsPointers && !CheckPagePointers(_state->Cr3, value))
        {
            return Refuse();
        }

        _state->Cr4 = value;
        if (((before ^ value) & Cr4Flushing) != 0)
        {
            vcpu.Mmu.Tlb.FlushAll();
        }

        vcpu.Segments.UpdateMode();
        return true;
    }

    internal bool TryWriteCr8(ulong value)
    {
        if (value > 15)
        {
            return Refuse();
        }

        vcpu.LocalApic.WriteCr8(value);
        return true;
    }

    internal ulong ReadCr8() => vcpu.LocalApic.ReadCr8();

    /// <summary>LMSW: PE can be set but not cleared.</summary>
    internal bool TryLoadStatusWord(ushort value)
    {
        const ulong Low = Cr0.MonitorCoprocessor | Cr0.Emulation | Cr0.TaskSwitched;
        ulong next = (_state->Cr0 & ~Low) | (value & (Low | Cr0.ProtectionEnable));
        return TryWriteCr0(next);
    }

    /// <summary>WRMSR IA32_EFER.</summary>
    internal bool TryWriteEfer(ulong value)
    {
        ulong before = _state->Efer;
        bool changesMode = ((before ^ value) & Efer.LongModeEnable) != 0;
        if ((value & ~EferDefined) != 0 || (changesMode && (_state->Cr0 & Cr0.Paging) != 0))
        {
            return false;
        }

        _state->Efer = (value & ~Efer.LongModeActive) | (before & Efer.LongModeActive);
        if (((before ^ value) & Efer.NoExecuteEnable) != 0)
        {
            vcpu.Mmu.Tlb.FlushAll();
        }

        return true;
    }

    /// <summary>XSETBV 0. Spec: SDM volume 1, 13.3.</summary>
    internal bool TryWriteXcr0(ulong value)
    {
        if ((value & ~ExtendedState.Supported(vcpu.Features)) != 0 || !ExtendedState.IsConsistent(value))
        {
            return Refuse();
        }

        _state->Xcr0 = value;
        return true;
    }

    // The four page-directory-pointer entries are loaded and checked at once. Spec: SDM volume 3, 4.4.1.
    private bool CheckPagePointers(ulong cr3, ulong cr4)
    {
        if ((cr4 & Cr4.PhysicalAddressExtension) == 0)
        {
            return true;
        }

        const ulong Present = 1;
        const ulong Reserved = 0x1E6 | ~PhysicalMask;
        for (uint i = 0; i < 4; i++)
        {
            ulong gpa = ((cr3 & 0xFFFF_FFE0) + (i * 8)) & vcpu.Mmu.AddressLineMask;
            if (vcpu.Ram.TryGetOffset(gpa, 8, out long offset))
            {
                ulong entry = *(ulong*)(vcpu.Ram.Base + offset);
                if ((entry & Present) != 0 && (entry & Reserved) != 0)
                {
                    return false;
                }
            }
        }

        return true;
    }

    private bool Refuse()
    {
        vcpu.Raise(ExceptionVector.GeneralProtection, 0);
        return false;
    }

    private static ulong Cr4Bits(CpuFeatures features)
    {
        ulong bits = Cr4.Virtual8086Extensions | Cr4.ProtectedVirtualInterrupts | Cr4.TimeStampDisable
            | Cr4.DebuggingExtensions | Cr4.PageSizeExtensions | Cr4.PhysicalAddressExtension | Cr4.MachineCheckEnable
            | Cr4.PageGlobalEnable | Cr4.PerformanceCounterEnable | Cr4.FxsaveEnable | Cr4.SimdExceptions;
        bits |= features.Has(CpuFeature.Umip) ? Cr4.UserModeInstructionPrevention : 0;
        bits |= features.Has(CpuFeature.FsGsBase) ? Cr4.FsGsBase : 0;
        bits |= features.Has(CpuFeature.Pcid) ? Cr4.ProcessContextIdentifiers : 0;
        bits |= features.Has(CpuFeature.Xsave) ? Cr4.XsaveEnable : 0;
        bits |= features.Has(CpuFeature.Smep) ? Cr4.SupervisorExecutionPrevention : 0;
        bits |= features.Has(CpuFeature.Smap) ? Cr4.SupervisorAccessPrevention : 0;
        return bits;
    }
}
