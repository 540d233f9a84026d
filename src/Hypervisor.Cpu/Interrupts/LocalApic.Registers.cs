namespace Hypervisor.Cpu.Interrupts;

/// <summary>The registers, as the page and as MSRs.</summary>
public sealed partial class LocalApic
{
    private const uint VersionValue = 0x0105_0014; // version 14h, 6 LVT entries, EOI-broadcast suppression
    private const uint LvtWritable = 0x1_07FF;     // mask, delivery mode, vector
    private const uint LintWritable = 0x1_A7FF;    // and trigger mode, polarity
    private const uint TimerWritable = 0x7_00FF;   // mask, mode, vector
    private const uint LvtStatus = 1 << 12;        // delivery status, read-only
    private const uint LvtRemoteRequest = 1 << 14; // read-only
    private const int FirstMsr = 0x800;
    private const int LastMsr = 0x83F;
    private const ulong DestinationShift = 32;

    /// <summary>
    /// Reads the register page; only aligned 32-bit accesses are defined, others see the register's bytes.
    /// </summary>
    internal ulong ReadPage(int offset, int sizeBytes)
    {
        lock (_lock)
        {
            uint value = ReadRegister(offset & ~0xF);
            int shift = (offset & 0xF) * 8;
            return shift >= 32 ? 0 : (value >> shift) & (sizeBytes >= 4 ? uint.MaxValue : (1u << (sizeBytes * 8)) - 1);
        }
    }

    /// <summary>Writes the register page; what is not an aligned 32-bit access is dropped.</summary>
    internal void WritePage(int offset, int sizeBytes, ulong value)
    {
        if ((offset & 0xF) != 0 || sizeBytes < 4)
        {
            return;
        }

        lock (_lock)
        {
            if (offset == ApicRegister.InterruptCommandHigh)
            {
                _command = (uint)_command | (value << 32);
            }
            else if (offset == ApicRegister.InterruptCommandLow)
            {
                _command = (_command & ~0xFFFF_FFFFul) | ((uint)value & 0xC_CFFFu);
                uint destination = (uint)(_command >> 56);
                Send((uint)_command, destination == 0xFF ? uint.MaxValue : destination);
            }
            else
            {
                WriteRegister(offset, (uint)value);
            }
        }
    }

    /// <summary>RDMSR 800h-83Fh. False: #GP.</summary>
    internal bool TryReadMsr(uint msr, out ulong value)
    {
        lock (_lock)
        {
            int offset = (int)(msr - FirstMsr) << 4;
            value = 0;
            if (!IsExtended || msr is < FirstMsr or > LastMsr || offset is ApicRegister.EndOfInterrupt
                or ApicRegister.SelfIpi or ApicRegister.DestinationFormat or ApicRegister.InterruptCommandHigh
                || !IsRegister(offset))
            {
                return false;
            }

            value = offset == ApicRegister.InterruptCommandLow ? _command : ReadRegister(offset);
            return true;
        }
    }

    /// <summary>WRMSR 800h-83Fh. False: #GP.</summary>
    internal bool TryWriteMsr(uint msr, ulong value)
    {
        lock (_lock)
        {
            int offset = (int)(msr - FirstMsr) << 4;
            if (!IsExtended || msr is < FirstMsr or > LastMsr || !IsRegister(offset))
            {
                return false;
            }

            switch (offset)
            {
                case ApicRegister.InterruptCommandLow:
                    if ((value & 0xFFF3_2000) != 0)
                    {
                        return false;
                    }

                    _command = value & 0xFFFF_FFFF_000C_CFFF;
                    Send((uint)_command, (uint)(_command >> (int)DestinationShift));
                    return true;
                case ApicRegister.SelfIpi when value <= 0xFF:
                    AcceptVector((byte)value, isLevel: false);
                    return true;
                case ApicRegister.EndOfInterrupt or ApicRegister.ErrorStatus when value != 0:
                case ApicRegister.SelfIpi or ApicRegister.Id or ApicRegister.Version or ApicRegister.ProcessorPriority
                    or ApicRegister.LogicalDestination or ApicRegister.DestinationFormat or ApicRegister.CurrentCount
                    or ApicRegister.InterruptCommandHigh or (>= ApicRegister.InService and < ApicRegister.ErrorStatus):
                    return false;
                default:
                    if ((value & ~ExtendedWritable(offset)) != 0)
                    {
                        return false;
                    }

                    WriteRegister(offset, (uint)value);
                    return true;
            }
        }
    }

    /// <summary>
    /// WRMSR IA32_APIC_BASE. False: #GP (reserved bits, forbidden transition: SDM volume 3, 11.12.5).
    /// </summary>
    internal bool TryWriteBase(ulong value, int physicalAddressBits)
    {
        lock (_lock)
        {
            ulong defined = (((1ul << physicalAddressBits) - 1) & ~0xFFFul)
                | BaseEnabled | BaseExtended | BaseBootstrap;
            bool wasExtended = IsExtended;
            bool extended = (value & BaseExtended) != 0;
            bool enabled = (value & BaseEnabled) != 0;
            if ((value & ~defined) != 0 || (extended && !enabled) || (wasExtended && enabled && !extended)
                || (!IsEnabled && extended))
            {
                return false;
            }

            bool wasEnabled = IsEnabled;
            _base = value;
            if (wasEnabled && !enabled)
            {
                ResetRegisters();
            }
            else if (extended && !wasExtended)
            {
                _logicalDestination = ExtendedLogicalId;
            }

            _vcpu.Mmu.Tlb.FlushAll(); // the page moved; there may be RAM behind it
            _vcpu.SignalInterrupt();
            return true;
        }
    }

    /// <summary>IA32_TSC_DEADLINE: 0 while disarmed.</summary>
    internal ulong ReadDeadline()
    {
        lock (_lock)
        {
            return _timer.Deadline;
        }
    }

    /// <summary>Arms or disarms the TSC deadline; ignored in the other timer modes.</summary>
    internal void WriteDeadline(ulong value)
    {
        lock (_lock)
        {
            _timer.WriteDeadline(value);
        }
    }

    /// <summary>CR8: the upper half of TPR. Spec: SDM volume 3, 11.8.6.1.</summary>
    internal ulong ReadCr8()
    {
        lock (_lock)
        {
            return _taskPriority >> 4;
        }
    }

    /// <summary>Writes CR8, at most 15.</summary>
    internal void WriteCr8(ulong value)
    {
        lock (_lock)
        {
            WriteRegister(ApicRegister.TaskPriority, (uint)value << 4);
        }
    }

    private static bool IsRegister(int offset) => offset is ApicRegister.Id or ApicRegister.Version
        or ApicRegister.TaskPriority or ApicRegister.ProcessorPriority or ApicRegister.EndOfInterrupt
        or ApicRegister.LogicalDestination or ApicRegister.SpuriousVector
        or (>= ApicRegister.InService and <= ApicRegister.ErrorStatus)
        or ApicRegister.InterruptCommandLow or (>= ApicRegister.LvtTimer and <= ApicRegister.CurrentCount)
        or ApicRegister.DivideConfiguration or ApicRegister.SelfIpi;

    // Bits that a WRMSR may set; any other is #GP.
    private static ulong ExtendedWritable(int offset) => offset switch
    {
        ApicRegister.TaskPriority => 0xFF,
        ApicRegister.SpuriousVector => 0xFFu | SoftwareEnabled | SuppressBroadcast | (1 << 9),
        ApicRegister.DivideConfiguration => 0xB,
        ApicRegister.LvtTimer => TimerWritable | LvtStatus,
        ApicRegister.LvtThermal or ApicRegister.LvtPerformance => LvtWritable | LvtStatus,
        ApicRegister.LvtLint0 or ApicRegister.LvtLint1 => LintWritable | LvtStatus | LvtRemoteRequest,
        ApicRegister.LvtError => LvtMasked | 0xFF | LvtStatus,
        ApicRegister.InitialCount => uint.MaxValue,
        _ => 0,
    };

    private uint ReadRegister(int offset) => offset switch
    {
        ApicRegister.Id => IsExtended ? Id : Id << 24,
        ApicRegister.Version => VersionValue,
        ApicRegister.TaskPriority => _taskPriority,
        ApicRegister.ArbitrationPriority or ApicRegister.ProcessorPriority => ProcessorPriority(),
        ApicRegister.LogicalDestination => _logicalDestination,
        ApicRegister.DestinationFormat => _destinationFormat,
        ApicRegister.SpuriousVector => _spurious,
        >= ApicRegister.InService and < ApicRegister.TriggerMode
            => _inService.Read((offset - ApicRegister.InService) >> 4),
        >= ApicRegister.TriggerMode and < ApicRegister.InterruptRequest
            => _levelTriggered.Read((offset - ApicRegister.TriggerMode) >> 4),
        >= ApicRegister.InterruptRequest and < ApicRegister.ErrorStatus
            => _requested.Read((offset - ApicRegister.InterruptRequest) >> 4),
        ApicRegister.ErrorStatus => _error,
        ApicRegister.InterruptCommandLow => (uint)_command,
        ApicRegister.InterruptCommandHigh => (uint)(_command >> 32),
        ApicRegister.LvtTimer => _timer.Lvt,
        ApicRegister.LvtThermal => _lvtThermal,
        ApicRegister.LvtPerformance => _lvtPerformance,
        ApicRegister.LvtLint0 => _lvtLint0,
        ApicRegister.LvtLint1 => _lvtLint1,
        ApicRegister.LvtError => _lvtError,
        ApicRegister.InitialCount => _timer.InitialCount,
        ApicRegister.CurrentCount => _timer.CurrentCount,
        ApicRegister.DivideConfiguration => _timer.Divide,
        _ => 0,
    };

    private void WriteRegister(int offset, uint value)
    {
        switch (offset)
        {
            case ApicRegister.TaskPriority:
                _taskPriority = value & 0xFF;
                _vcpu.SignalInterrupt();
                break;
            case ApicRegister.EndOfInterrupt:
                EndInterrupt();
                break;
            case ApicRegister.LogicalDestination:
                _logicalDestination = value & 0xFF00_0000;
                break;
            case ApicRegister.DestinationFormat:
                _destinationFormat = value | 0x0FFF_FFFF;
                break;
            case ApicRegister.SpuriousVector:
                WriteSpurious(value & (0xFFu | SoftwareEnabled | SuppressBroadcast));
                break;
            case ApicRegister.ErrorStatus:
                (_error, _errorPending) = (_errorPending, 0);
                break;
            case ApicRegister.LvtTimer:
                _timer.WriteLvt(Masked(value & TimerWritable));
                break;
            case ApicRegister.LvtThermal:
                _lvtThermal = Masked(value & LvtWritable);
                break;
            case ApicRegister.LvtPerformance:
                _lvtPerformance = Masked(value & LvtWritable);
                break;
            case ApicRegister.LvtLint0:
                _lvtLint0 = Masked(value & LintWritable);
                _vcpu.SignalInterrupt(); // a waiting ExtINT may get through now
                break;
            case ApicRegister.LvtLint1:
                _lvtLint1 = Masked(value & LintWritable);
                break;
            case ApicRegister.LvtError:
                _lvtError = Masked(value & (LvtMasked | 0xFF));
                break;
            case ApicRegister.InitialCount:
                _timer.WriteInitialCount(value);
                break;
            case ApicRegister.DivideConfiguration:
                _timer.WriteDivide(value);
                break;
            case ApicRegister.Id or ApicRegister.Version or ApicRegister.CurrentCount or ApicRegister.ProcessorPriority
                or ApicRegister.ArbitrationPriority or (>= ApicRegister.InService and < ApicRegister.ErrorStatus):
                break; // read-only
            default:
                RaiseError(ErrorIllegalRegister);
                break;
        }
    }

    // A software-disabled APIC keeps all its local entries masked. Spec: SDM volume 3, 11.4.7.2.
    private uint Masked(uint lvt) => IsSoftwareEnabled ? lvt : lvt | LvtMasked;

    private void WriteSpurious(uint value)
    {
        _spurious = value;
        if (!IsSoftwareEnabled)
        {
            _timer.WriteLvt(_timer.Lvt | LvtMasked);
            _lvtThermal |= LvtMasked;
            _lvtPerformance |= LvtMasked;
            _lvtLint0 |= LvtMasked;
            _lvtLint1 |= LvtMasked;
            _lvtError |= LvtMasked;
        }

        _vcpu.SignalInterrupt();
    }

    private void EndInterrupt()
    {
        int vector = _inService.Highest;
        if (vector < 0)
        {
            return;
        }

        _inService.Clear(vector);
        if (_levelTriggered[vector] && (_spurious & SuppressBroadcast) == 0)
        {
            _bus.BroadcastEndOfInterrupt((byte)vector);
        }

        _vcpu.SignalInterrupt();
    }

    private void Send(uint command, uint destination)
    {
        DeliveryMode mode = (DeliveryMode)((command >> 8) & 7);
        if (mode is DeliveryMode.Fixed or DeliveryMode.LowestPriority && (byte)command < 16)
        {
            RaiseError(ErrorSendIllegalVector);
            return;
        }

        _bus.SendIpi(_vcpu.Index, ((ulong)destination << (int)DestinationShift) | command);
    }
}
