using System.Threading;
using Hypervisor.Core.State;

namespace Hypervisor.Cpu.Interrupts;

/// <summary>The registers of a local APIC, as xAPIC memory and as x2APIC MSRs.</summary>
/// <remarks>Spec: SDM volume 3, 11.4 to 11.12. The vCPU's accesses take the bus lock; the rest is called with it.</remarks>
internal sealed class ApicRegisters
{
    /// <summary>IA32_APIC_BASE: this vCPU starts the machine.</summary>
    internal const ulong BaseBootstrap = 1 << 8;

    /// <summary>IA32_APIC_BASE: x2APIC mode.</summary>
    internal const ulong BaseX2Apic = 1 << 10;

    /// <summary>IA32_APIC_BASE: the APIC is on.</summary>
    internal const ulong BaseEnable = 1 << 11;

    private const ulong BaseAddressMask = ((1ul << Paging.PageWalk.PhysicalAddressBits) - 1) & ~0xFFFul;
    private const ulong BaseDefault = 0xFEE0_0000;

    private const uint VersionValue = 0x0105_0014; // integrated, 6 LVT entries, EOI broadcast can be suppressed
    private const uint SoftwareEnable = 1 << 8;
    private const uint SuppressBroadcast = 1 << 12;
    private const uint Masked = 1 << 16;
    private const uint SendIllegalVector = 1 << 5;
    private const uint IllegalRegister = 1 << 7;
    private const int LvtCount = 6;

    // Writable bits of LVT timer, thermal, performance, LINT0, LINT1, error.
    private static readonly uint[] s_lvtMasks = [0x7_00FF, 0x1_07FF, 0x1_07FF, 0x1_A7FF, 0x1_A7FF, 0x1_00FF];

    private readonly LocalApic _apic;
    private readonly Vcpu _vcpu;
    private readonly Lock _busLock;
    private readonly ApicTimer _timer;
    private readonly uint[] _lvt = new uint[LvtCount];

    private ulong _base;
    private uint _taskPriority;
    private uint _logicalDestination;
    private uint _destinationFormat;
    private uint _spurious;
    private uint _errors;
    private uint _pendingErrors;
    private ulong _command;

    internal ApicRegisters(LocalApic apic, Vcpu vcpu, VcpuConfig config)
    {
        _apic = apic;
        _vcpu = vcpu;
        _busLock = config.BusLock;
        _timer = new ApicTimer(vcpu.Timers, OnTimer);
        _base = BaseDefault | BaseEnable | (vcpu.Index == 0 ? BaseBootstrap : 0);
    }

    internal ApicTimer Timer => _timer;

    internal uint TaskPriority => _taskPriority;

    /// <summary>Bit 8 of the spurious vector register, with the APIC on at all.</summary>
    internal bool IsEnabled => (_base & BaseEnable) != 0 && (_spurious & SoftwareEnable) != 0;

    internal bool SuppressesBroadcast => (_spurious & SuppressBroadcast) != 0;

    /// <summary>Whether the 8259's wire reaches the CPU: LINT0 is an open ExtINT, or there is no APIC.</summary>
    internal bool AcceptsExternal
        => (_base & BaseEnable) == 0
            || (_lvt[Lint0] & (Masked | 0x700)) == DeliveryMode.External << 8;

    /// <summary>GPA of the register page; all ones while there is none.</summary>
    internal ulong MmioPage
        => (_base & (BaseEnable | BaseX2Apic)) == BaseEnable ? _base & BaseAddressMask : ulong.MaxValue;

    internal bool IsX2Apic => (_base & BaseX2Apic) != 0;

    internal ulong BaseMsr => _base;

    private const int Lint0 = ApicRegister.LvtLint0 - ApicRegister.LvtTimer;

    private uint LogicalId
        => IsX2Apic ? ((uint)_vcpu.Index >> 4 << 16) | (1u << (_vcpu.Index & 15)) : _logicalDestination;

    /// <summary>Writes IA32_APIC_BASE. False: #GP. Spec: SDM volume 3, 11.12.5.</summary>
    internal bool TryWriteBase(ulong value)
    {
        const ulong Mode = BaseEnable | BaseX2Apic;
        ulong before = _base & Mode;
        ulong after = value & Mode;
        bool isAllowed = after != BaseX2Apic
            && !(before == Mode && after == BaseEnable)
            && !(before == 0 && after == Mode);
        if (!isAllowed || (value & ~(BaseAddressMask | Mode | BaseBootstrap)) != 0)
        {
            return false;
        }

        lock (_busLock)
        {
            _base = value;
            if (after == 0 && before != 0)
            {
                _apic.Reset(isPowerOn: false);
            }
            else if (after == Mode && before != Mode)
            {
                _command = 0;
            }
        }

        _vcpu.Mmu.Tlb.FlushAll(); // the register page moved
        _vcpu.SignalInterrupt();
        return true;
    }

    /// <summary>Reads the register page. Other sizes than 4 read the register's bytes.</summary>
    internal ulong ReadMmio(uint offset, int sizeBytes)
    {
        lock (_busLock)
        {
            ulong value = 0;
            if ((offset & 0xC) == 0)
            {
                value = ReadRegister((int)(offset >> 4)) >> (int)((offset & 3) * 8);
            }

            return sizeBytes >= 8 ? value : value & ((1ul << (sizeBytes * 8)) - 1);
        }
    }

    /// <summary>Writes the register page; only aligned doublewords count.</summary>
    internal void WriteMmio(uint offset, int sizeBytes, ulong value)
    {
        if ((offset & 0xF) != 0 || sizeBytes < 4)
        {
            return;
        }

        lock (_busLock)
        {
            WriteRegister((int)(offset >> 4), (uint)value);
        }
    }

    /// <summary>RDMSR 800H to 8FFH. False: #GP. Spec: SDM volume 3, table 11-6.</summary>
    internal bool TryReadMsr(int register, out ulong value)
    {
        lock (_busLock)
        {
            value = register switch
            {
                ApicRegister.Id => (uint)_vcpu.Index,
                ApicRegister.CommandLow => _command,
                _ => ReadRegister(register),
            };
        }

        return IsX2Apic && IsReadableMsr(register);
    }

    /// <summary>WRMSR 800H to 8FFH. False: #GP.</summary>
    internal bool TryWriteMsr(int register, ulong value)
    {
        bool isAllowed = register switch
        {
            ApicRegister.CommandLow => (value & 0xFFF3_2000) == 0,
            ApicRegister.TaskPriority or ApicRegister.SelfIpi => value <= 0xFF,
            ApicRegister.EndOfInterrupt or ApicRegister.ErrorStatus => value == 0,
            ApicRegister.SpuriousVector => (value & ~0x13FFul) == 0,
            ApicRegister.InitialCount => value <= uint.MaxValue,
            ApicRegister.DivideConfiguration => (value & ~0xBul) == 0,
            >= ApicRegister.LvtTimer and <= ApicRegister.LvtError
                => (value & ~(ulong)(s_lvtMasks[register - ApicRegister.LvtTimer] | 0x1000)) == 0,
            _ => false,
        };
        if (!isAllowed || !IsX2Apic)
        {
            return false;
        }

        lock (_busLock)
        {
            if (register == ApicRegister.CommandLow)
            {
                _command = value;
                SendCommand();
            }
            else
            {
                WriteRegister(register, (uint)value);
            }
        }

        return true;
    }

    /// <summary>CR8: bits 7 to 4 of the task priority.</summary>
    internal void WriteCr8(ulong value)
    {
        lock (_busLock)
        {
            WriteRegister(ApicRegister.TaskPriority, (uint)value << 4);
        }
    }

    /// <summary>WRMSR IA32_TSC_DEADLINE.</summary>
    internal void WriteDeadline(ulong tsc, ulong tscOffset)
    {
        lock (_busLock)
        {
            _timer.SetDeadline(tsc, tscOffset);
        }
    }

    /// <summary>The guest's TSC jumped.</summary>
    internal void OnTscOffsetChanged(ulong tscOffset)
    {
        lock (_busLock)
        {
            _timer.OnTscOffsetChanged(tscOffset);
        }
    }

    /// <summary>Whether a destination includes this APIC. All ones is everybody.</summary>
    internal bool Matches(uint destination, bool isLogical)
    {
        if ((_base & BaseEnable) == 0)
        {
            return false;
        }

        if (!isLogical)
        {
            return destination == uint.MaxValue || destination == (uint)_vcpu.Index;
        }

        if (IsX2Apic)
        {
            uint id = LogicalId;
            return destination == uint.MaxValue
                || (destination >> 16 == id >> 16 && (destination & id & 0xFFFF) != 0);
        }

        uint own = _logicalDestination >> 24;
        bool isFlat = _destinationFormat >> 28 == 0xF;
        return isFlat
            ? (own & destination & 0xFF) != 0
            : destination == 0xFF || (own >> 4 == destination >> 4 && (own & destination & 0xF) != 0);
    }

    /// <summary>Collects an error; the error LVT entry may interrupt. Spec: SDM volume 3, 11.5.3.</summary>
    internal void ReportError(uint error)
    {
        bool isNew = (_pendingErrors & error) == 0;
        _pendingErrors |= error;
        if (isNew)
        {
            Fire(ApicRegister.LvtError);
        }
    }

    /// <summary>Reset values. Spec: SDM volume 3, 11.4.7.1.</summary>
    internal void Reset(bool isPowerOn)
    {
        if (isPowerOn)
        {
            _base = BaseDefault | BaseEnable | (_vcpu.Index == 0 ? BaseBootstrap : 0);
        }

        _taskPriority = 0;
        _logicalDestination = 0;
        _destinationFormat = uint.MaxValue;
        _spurious = 0xFF;
        _errors = 0;
        _pendingErrors = 0;
        _command = 0;
        for (int i = 0; i < LvtCount; i++)
        {
            _lvt[i] = Masked;
        }

        if (_vcpu.Index == 0)
        {
            _lvt[Lint0] = DeliveryMode.External << 8; // virtual wire mode, which a kernel loaded directly expects
        }

        _timer.Reset();
    }

    internal void Transfer(ref StateCodec state)
    {
        state.U64(ref _base);
        state.U32(ref _taskPriority);
        state.U32(ref _logicalDestination);
        state.U32(ref _destinationFormat);
        state.U32(ref _spurious);
        state.U32(ref _errors);
        state.U32(ref _pendingErrors);
        state.U64(ref _command);
        for (int i = 0; i < LvtCount; i++)
        {
            state.U32(ref _lvt[i]);
        }

        _timer.Transfer(ref state);
    }

    private static bool IsReadableMsr(int register) => register is ApicRegister.Id or ApicRegister.Version
        or ApicRegister.TaskPriority or ApicRegister.ProcessorPriority or ApicRegister.LogicalDestination
        or ApicRegister.SpuriousVector or (>= ApicRegister.InService and <= ApicRegister.ErrorStatus)
        or ApicRegister.CommandLow or (>= ApicRegister.LvtTimer and <= ApicRegister.CurrentCount)
        or ApicRegister.DivideConfiguration;

    private ulong ReadRegister(int register) => register switch
    {
        ApicRegister.Id => (uint)_vcpu.Index << 24,
        ApicRegister.Version => VersionValue,
        ApicRegister.TaskPriority => _taskPriority,
        ApicRegister.ArbitrationPriority or ApicRegister.ProcessorPriority => _apic.ProcessorPriority,
        ApicRegister.LogicalDestination => LogicalId,
        ApicRegister.DestinationFormat => _destinationFormat,
        ApicRegister.SpuriousVector => _spurious,
        >= ApicRegister.InService and < ApicRegister.TriggerMode
            => _apic.InService.Word(register - ApicRegister.InService),
        >= ApicRegister.TriggerMode and < ApicRegister.Request
            => _apic.LevelTriggered.Word(register - ApicRegister.TriggerMode),
        >= ApicRegister.Request and < ApicRegister.ErrorStatus => _apic.Request.Word(register - ApicRegister.Request),
        ApicRegister.ErrorStatus => _errors,
        ApicRegister.CommandLow => (uint)_command,
        ApicRegister.CommandHigh => (uint)(_command >> 32),
        >= ApicRegister.LvtTimer and <= ApicRegister.LvtError => _lvt[register - ApicRegister.LvtTimer],
        ApicRegister.InitialCount => _timer.InitialCount,
        ApicRegister.CurrentCount => _timer.CurrentCount,
        ApicRegister.DivideConfiguration => _timer.DivideConfiguration,
        _ => 0,
    };

    private void WriteRegister(int register, uint value)
    {
        switch (register)
        {
            case ApicRegister.TaskPriority:
                _taskPriority = value & 0xFF;
                _vcpu.SignalInterrupt();
                break;
            case ApicRegister.EndOfInterrupt:
                _apic.EndOfInterrupt();
                break;
            case ApicRegister.LogicalDestination:
                _logicalDestination = value & 0xFF00_0000;
                break;
            case ApicRegister.DestinationFormat:
                _destinationFormat = value | 0x0FFF_FFFF;
                break;
            case ApicRegister.SpuriousVector:
                _spurious = value & 0x13FF;
                if ((value & SoftwareEnable) == 0)
                {
                    MaskAll();
                }

                break;
            case ApicRegister.ErrorStatus:
                _errors = _pendingErrors;
                _pendingErrors = 0;
                break;
            case ApicRegister.CommandHigh:
                _command = (uint)_command | ((ulong)(value & 0xFF00_0000) << 32);
                break;
            case ApicRegister.CommandLow:
                _command = (_command & ~0xFFFF_FFFFul) | (value & 0xC_CFFF);
                SendCommand();
                break;
            case >= ApicRegister.LvtTimer and <= ApicRegister.LvtError:
                WriteLvt(register - ApicRegister.LvtTimer, value);
                break;
            case ApicRegister.InitialCount:
                _timer.SetInitialCount(value);
                break;
            case ApicRegister.DivideConfiguration:
                _timer.SetDivide(value);
                break;
            case ApicRegister.SelfIpi when IsX2Apic:
                _apic.Accept(DeliveryMode.Fixed, (byte)value, isLevel: false);
                break;
            case ApicRegister.Id or ApicRegister.Version or ApicRegister.ArbitrationPriority
                or ApicRegister.ProcessorPriority or ApicRegister.RemoteRead or ApicRegister.CurrentCount
                or (>= ApicRegister.InService and < ApicRegister.ErrorStatus):
                break; // read-only
            default:
                ReportError(IllegalRegister);
                break;
        }
    }

    private void WriteLvt(int index, uint value)
    {
        bool isOff = (_spurious & SoftwareEnable) == 0;
        _lvt[index] = (value & s_lvtMasks[index]) | (isOff ? Masked : 0);
        if (index == 0)
        {
            _timer.SetMode((value >> 17) & 3);
        }

        if (index == Lint0)
        {
            _vcpu.SignalInterrupt();
        }
    }

    // Spec: SDM volume 3, 11.4.7.2: while the APIC is software-disabled the mask bits are set and stay so.
    private void MaskAll()
    {
        for (int i = 0; i < LvtCount; i++)
        {
            _lvt[i] |= Masked;
        }
    }

    private void OnTimer() => Fire(ApicRegister.LvtTimer);

    private void Fire(int register)
    {
        uint entry = _lvt[register - ApicRegister.LvtTimer];
        if ((entry & Masked) == 0)
        {
            bool hasMode = register is ApicRegister.LvtThermal or ApicRegister.LvtPerformance;
            _apic.Accept(hasMode ? (entry >> 8) & 7 : DeliveryMode.Fixed, (byte)entry, isLevel: false);
        }
    }

    // Spec: SDM volume 3, 11.6.1. The bus gets the destination as a 32-bit number, all ones for everybody.
    private void SendCommand()
    {
        uint mode = (uint)(_command >> 8) & 7;
        var vector = (byte)_command;
        if (mode is DeliveryMode.Fixed or DeliveryMode.LowestPriority && vector < 16)
        {
            ReportError(SendIllegalVector);
            return;
        }

        if (((_command >> 18) & 3) == 1)
        {
            _apic.Accept(mode, vector, isLevel: false);
            return;
        }

        uint destination = (uint)(_command >> 32);
        if (!IsX2Apic)
        {
            destination >>= 24;
            bool isBroadcast = destination == 0xFF && (_command & (1 << 11)) == 0;
            destination = isBroadcast ? uint.MaxValue : destination;
        }

        _apic.Bus.SendIpi(_vcpu.Index, ((ulong)destination << 32) | (uint)_command);
    }
}
