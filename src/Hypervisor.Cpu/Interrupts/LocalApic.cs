using System.Threading;
using Hypervisor.Core.State;

namespace Hypervisor.Cpu.Interrupts;

/// <summary>One vCPU's interrupt controller: xAPIC page and x2APIC MSRs. Spec: SDM volume 3, chapter 11.</summary>
/// <remarks>Every method takes the bus lock itself; it is recursive, so devices may call with it held.</remarks>
public sealed partial class LocalApic : ICheckpointed
{
    internal const uint LvtMasked = 1 << 16;
    internal const ulong BaseEnabled = 1 << 11;
    internal const ulong BaseExtended = 1 << 10;

    private const ulong BaseBootstrap = 1 << 8;
    private const ulong BaseAddressReset = 0xFEE0_0000;
    private const uint SoftwareEnabled = 1 << 8;
    private const uint SuppressBroadcast = 1 << 12;
    private const uint LvtLevelTriggered = 1 << 15;
    private const uint ErrorSendIllegalVector = 1 << 5;
    private const uint ErrorReceivedIllegalVector = 1 << 6;
    private const uint ErrorIllegalRegister = 1 << 7;

    private readonly Vcpu _vcpu;
    private readonly IApicBus _bus;
    private readonly Lock _lock;
    private readonly ApicTimer _timer;

    private ulong _base;
    private uint _taskPriority;
    private uint _logicalDestination;
    private uint _destinationFormat;
    private uint _spurious;
    private uint _error;
    private uint _errorPending;
    private ulong _command;
    private uint _lvtThermal;
    private uint _lvtPerformance;
    private uint _lvtLint0;
    private uint _lvtLint1;
    private uint _lvtError;
    private VectorSet _requested;
    private VectorSet _inService;
    private VectorSet _levelTriggered;
    private bool _isExternalHigh;
    private bool _hasNmi;
    private bool _hasInit;
    private bool _hasStartup;
    private byte _startupPage;

    internal LocalApic(Vcpu vcpu, IApicBus bus, Lock busLock)
    {
        _vcpu = vcpu;
        _bus = bus;
        _lock = busLock;
        _timer = new ApicTimer(vcpu, vcpu.Timers.Create(OnTimer));
        Reset();
    }

    /// <inheritdoc/>
    public SectionId Section => new(Tag: 0x4349_5041, (ushort)_vcpu.Index, Version: 1); // "APIC"

    /// <summary>IA32_APIC_BASE.</summary>
    internal ulong Base => _base;

    /// <summary>Whether the register page is decoded (xAPIC mode).</summary>
    internal bool HasPage => (_base & (BaseEnabled | BaseExtended)) == BaseEnabled;

    /// <summary>GPA of the register page.</summary>
    internal ulong PageGpa => _base & ~0xFFFul;

    // Not writable, as on newer CPUs: the board indexes by it.
    private uint Id => (uint)_vcpu.Index;

    private bool IsEnabled => (_base & BaseEnabled) != 0;

    private bool IsExtended => (_base & BaseExtended) != 0;

    private bool IsSoftwareEnabled => IsEnabled && (_spurious & SoftwareEnabled) != 0;

    /// <summary>Power-on state.</summary>
    public void Reset()
    {
        lock (_lock)
        {
            _base = BaseAddressReset | BaseEnabled | (_vcpu.Index == 0 ? BaseBootstrap : 0);
            _hasNmi = false;
            _hasInit = false;
            _hasStartup = false;
            _startupPage = 0;
            ResetRegisters();
        }
    }

    /// <summary>
    /// The INTR output of the 8259 pair, at LINT0; without an enabled APIC at the processor's INTR pin.
    /// </summary>
    public void SetExternalInterrupt(bool high)
    {
        lock (_lock)
        {
            bool rises = high && !_isExternalHigh;
            _isExternalHigh = high;
            if (rises && IsEnabled && (_lvtLint0 & LvtMasked) == 0)
            {
                RaiseLocal(_lvtLint0);
            }

            if (high)
            {
                _vcpu.SignalInterrupt();
            }
        }
    }

    /// <summary>Whether requests of the 8259 pair reach the vCPU.</summary>
    public bool TakesExternalInterrupts
    {
        get
        {
            lock (_lock)
            {
                return IsExternalOpen;
            }
        }
    }

    /// <summary>Whether a vector waits to be taken.</summary>
    public bool IsRequested(int vector)
    {
        lock (_lock)
        {
            return _requested[vector];
        }
    }

    /// <summary>Takes a message that <see cref="IsDestination"/> said is ours.</summary>
    public void Accept(DeliveryMode mode, byte vector, bool isLevel)
    {
        lock (_lock)
        {
            switch (mode)
            {
                case DeliveryMode.Fixed or DeliveryMode.LowestPriority:
                    AcceptVector(vector, isLevel);
                    return;
                case DeliveryMode.Nmi:
                    _hasNmi = true;
                    break;
                case DeliveryMode.Init:
                    _hasInit = true;
                    _hasStartup = false;
                    break;
                case DeliveryMode.StartUp:
                    _hasStartup = true;
                    _startupPage = vector;
                    break;
                case DeliveryMode.Smi or DeliveryMode.ExternalInterrupt:
                    return;
            }

            _vcpu.SignalInterrupt();
        }
    }

    /// <inheritdoc/>
    public void Transfer(ref StateCodec state)
    {
        state.U64(ref _base);
        state.U32(ref _taskPriority);
        state.U32(ref _logicalDestination);
        state.U32(ref _destinationFormat);
        state.U32(ref _spurious);
        state.U32(ref _error);
        state.U32(ref _errorPending);
        state.U64(ref _command);
        state.U32(ref _lvtThermal);
        state.U32(ref _lvtPerformance);
        state.U32(ref _lvtLint0);
        state.U32(ref _lvtLint1);
        state.U32(ref _lvtError);
        _requested.Transfer(ref state);
        _inService.Transfer(ref state);
        _levelTriggered.Transfer(ref state);
        _timer.Transfer(ref state);
        state.Bool(ref _isExternalHigh);
        state.Bool(ref _hasNmi);
        state.Bool(ref _hasInit);
        state.Bool(ref _hasStartup);
        state.U8(ref _startupPage);
        if (!state.IsSaving)
        {
            _vcpu.SignalInterrupt();
        }
    }

    /// <summary>Whether an NMI waits.</summary>
    internal bool HasNmi
    {
        get
        {
            lock (_lock)
            {
                return _hasNmi;
            }
        }
    }

    /// <summary>Whether an interrupt would be delivered if IF were set.</summary>
    internal bool HasInterrupt
    {
        get
        {
            lock (_lock)
            {
                return HasExternal || FindDeliverable() >= 0;
            }
        }
    }

    private bool HasExternal => _isExternalHigh && IsExternalOpen;

    private bool IsExternalOpen => !IsEnabled
        || ((_lvtLint0 & LvtMasked) == 0 && (DeliveryMode)((_lvtLint0 >> 8) & 7) == DeliveryMode.ExternalInterrupt);

    /// <summary>Takes the interrupt to deliver now: an INTA cycle.</summary>
    internal bool TryAcknowledge(out byte vector)
    {
        lock (_lock)
        {
            vector = 0;
            if (HasExternal)
            {
                vector = _bus.AcknowledgeExternalInterrupt();
                return true;
            }

            int found = FindDeliverable();
            if (found < 0)
            {
                return false;
            }

            _requested.Clear(found);
            _inService.Set(found);
            vector = (byte)found;
            _bus.OnInterruptTaken(vector);
            return true;
        }
    }

    internal bool TryTakeNmi()
    {
        lock (_lock)
        {
            bool had = _hasNmi;
            _hasNmi = false;
            return had;
        }
    }

    internal bool TryTakeInit()
    {
        lock (_lock)
        {
            bool had = _hasInit;
            _hasInit = false;
            if (had)
            {
                ResetRegisters(); // INIT keeps the base and, but for reset, the ID: SDM volume 3, 11.4.7.3
            }

            return had;
        }
    }

    internal bool TryTakeStartup(out byte page)
    {
        lock (_lock)
        {
            bool had = _hasStartup;
            _hasStartup = false;
            page = _startupPage;
            return had;
        }
    }

    /// <summary>The guest TSC was moved: the deadline is elsewhere now.</summary>
    internal void OnTscChanged()
    {
        lock (_lock)
        {
            _timer.Rearm();
        }
    }

    private void ResetRegisters()
    {
        _taskPriority = 0;
        _logicalDestination = IsExtended ? ExtendedLogicalId : 0;
        _destinationFormat = uint.MaxValue;
        _spurious = 0xFF;
        _error = 0;
        _errorPending = 0;
        _command = 0;
        _lvtThermal = LvtMasked;
        _lvtPerformance = LvtMasked;

        // Virtual wire mode at the bootstrap CPU, as firmware leaves it: a kernel loaded directly expects the 8259
        // there.
        _lvtLint0 = _vcpu.Index == 0 ? (uint)DeliveryMode.ExternalInterrupt << 8 : LvtMasked;
        _lvtLint1 = _vcpu.Index == 0 ? (uint)DeliveryMode.Nmi << 8 : LvtMasked;
        _lvtError = LvtMasked;
        _requested = default;
        _inService = default;
        _levelTriggered = default;
        _timer.Reset();
    }

    private void AcceptVector(byte vector, bool isLevel)
    {
        if (!IsSoftwareEnabled)
        {
            return;
        }

        if (vector < 16)
        {
            RaiseError(ErrorReceivedIllegalVector);
            return;
        }

        _requested.Set(vector);
        if (isLevel)
        {
            _levelTriggered.Set(vector);
        }
        else
        {
            _levelTriggered.Clear(vector);
        }

        _vcpu.SignalInterrupt();
    }

    // The processor priority: the higher of TPR and the class in service. Spec: SDM volume 3, 11.8.3.1.
    private uint ProcessorPriority()
    {
        int highest = _inService.Highest;
        uint inService = highest < 0 ? 0 : (uint)highest & 0xF0;
        return (_taskPriority & 0xF0) >= inService ? _taskPriority : inService;
    }

    private int FindDeliverable()
    {
        int vector = IsSoftwareEnabled ? _requested.Highest : -1;
        return vector >= 0 && ((uint)vector & 0xF0) > (ProcessorPriority() & 0xF0) ? vector : -1;
    }

    private void OnTimer()
    {
        if (_timer.Expire())
        {
            RaiseLocal(_timer.Lvt);
        }
    }

    private void RaiseLocal(uint lvt)
        => Accept((DeliveryMode)((lvt >> 8) & 7), (byte)lvt, (lvt & LvtLevelTriggered) != 0);

    private void RaiseError(uint bit)
    {
        bool isNew = (_errorPending & bit) == 0;
        _errorPending |= bit;
        if (isNew && (_lvtError & (LvtMasked | 0xF0)) is not 0 and < LvtMasked)
        {
            RaiseLocal(_lvtError & ~0x700u);
        }
    }
}
