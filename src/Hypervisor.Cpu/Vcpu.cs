using System;
using System.Threading;
using Hypervisor.Core.Memory;
using Hypervisor.Core.State;
using Hypervisor.Core.Time;
using Hypervisor.Cpu.Control;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Identification;
using Hypervisor.Cpu.Interrupts;
using Hypervisor.Cpu.Paging;
using Hypervisor.Cpu.Peers;
using Hypervisor.Cpu.Segmentation;
using Hypervisor.Cpu.State;
using Hypervisor.Cpu.Translation;

namespace Hypervisor.Cpu;

/// <summary>One virtual CPU: registers, memory access, decoded code, and the engine that runs it.</summary>
/// <remarks>
/// Owned by the one thread that calls <see cref="Run"/>. Other threads may call <see cref="RequestExit"/> and
/// <see cref="SignalInterrupt"/> only, or anything while the vCPU is out of Run (paused).
/// </remarks>
public sealed unsafe class Vcpu : ICheckpointed, IDisposable
{
    private readonly Interpreter.Interpreter _interpreter;
    private readonly Action? _onWake;

    /// <summary>Builds vCPU <paramref name="index"/> in its reset state.</summary>
    public Vcpu(int index, GuestRam ram, IBus bus, GuestTimers timers, VcpuConfig? config = null)
    {
        config ??= VcpuConfig.Alone();
        Index = index;
        Features = config.Model.Features;
        Entropy = config.Entropy;
        _onWake = config.OnWake;
        Ram = ram;
        Bus = bus;
        Timers = timers;
        Memory = new VcpuMemory();
        Mmu = new Mmu(this);
        Segments = new SegmentUnit(this);
        Stack = new StackFrame(this);
        Transfers = new FarTransfer(this);
        Returns = new FarReturn(this);
        Tasks = new TaskSwitch(this);
        Virtual = new Virtual8086(this);
        Control = new ControlRegisters(this);
        Tsc = new TimeStamp(this);
        Debug = new DebugRegisters(this);
        Identification = new CpuIdentification(this);
        Stubs = new HostStubs();
        Peers = config.Peers ?? new VcpuPeers(ram);
        bool translates = config.Engine == ExecutionEngine.Translator && TranslatorEngine.IsSupported;
        Blocks = new BlockCache(this, isBesideTranslator: translates);
        PeerNumber = Peers.Join(this, Blocks);
        Exceptions = new ExceptionDelivery(this);
        Events = new VcpuEvents(this);
        Monitor = new AddressMonitor(this, config.HasPeers);
        LocalApic = new LocalApic(this, config.ApicBus, config.BusLock);
        _interpreter = new Interpreter.Interpreter(this);
        if (translates)
        {
            Translator = new TranslatorEngine(this, _interpreter, config);
        }

        Reset();
    }

    /// <inheritdoc/>
    public SectionId Section => new(Tag: 0x5550_4356, (ushort)Index, Version: 2); // "VCPU"

    /// <summary>Number of the vCPU, from 0; also its initial APIC ID.</summary>
    public int Index { get; }

    /// <summary>Registers, in native memory because generated code addresses them.</summary>
    public CpuState* State => Memory.State;

    /// <summary>Guest RAM.</summary>
    public GuestRam Ram { get; }

    /// <summary>The way to MMIO and ports.</summary>
    public IBus Bus { get; }

    /// <summary>Guest time.</summary>
    public GuestTimers Timers { get; }

    /// <summary>What the guest may use: what CPUID says, and what instruction rows ask.</summary>
    public CpuFeatures Features { get; }

    /// <summary>Interrupts of this vCPU. Its calls want the bus lock held.</summary>
    public LocalApic LocalApic { get; }

    /// <summary>
    /// Whether physical addresses have bit 20; the keyboard controller and port 92H switch it. Paused or on the vCPU's
    /// thread (from a port write).
    /// </summary>
    public bool IsAddressLine20Open
    {
        get => Mmu.AddressLineMask == ulong.MaxValue;
        set
        {
            if (value != IsAddressLine20Open)
            {
                Mmu.AddressLineMask = value ? ulong.MaxValue : ~(1ul << 20);
                Mmu.Tlb.FlushAll();
            }
        }
    }

    /// <summary>
    /// Instructions finished so far, for statistics; those of translated code only if the configuration asks for it.
    /// One that faults counts when it has run to its end.
    /// </summary>
    public ulong InstructionCount => _interpreter.InstructionCount + Memory.Engine->InstructionCount;

    /// <summary>What the engine did so far.</summary>
    public EngineStatistics Statistics { get; } = new();

    /// <summary>Memory as instructions see it.</summary>
    internal Mmu Mmu { get; }

    /// <summary>Registers, TLB and what else generated code addresses.</summary>
    internal VcpuMemory Memory { get; }

    /// <summary>The translator; null: everything is interpreted.</summary>
    internal TranslatorEngine? Translator { get; }

    /// <summary>Who else stores to the same RAM, or runs code from it.</summary>
    internal VcpuPeers Peers { get; }

    /// <summary>Which of them it is.</summary>
    internal int PeerNumber { get; }

    /// <summary>Decoded code.</summary>
    internal BlockCache Blocks { get; }

    /// <summary>Generated code for instructions that run as the host.</summary>
    internal HostStubs Stubs { get; }

    /// <summary>The way through the IDT.</summary>
    internal ExceptionDelivery Exceptions { get; }

    /// <summary>What happens between blocks.</summary>
    internal VcpuEvents Events { get; }

    /// <summary>What MWAIT waits for.</summary>
    internal AddressMonitor Monitor { get; }

    /// <summary>Segment registers and the modes that follow from them.</summary>
    internal SegmentUnit Segments { get; }

    /// <summary>Stacks of far transfers.</summary>
    internal StackFrame Stack { get; }

    /// <summary>Far JMP and CALL.</summary>
    internal FarTransfer Transfers { get; }

    /// <summary>Far RET and IRET.</summary>
    internal FarReturn Returns { get; }

    /// <summary>Hardware task switches.</summary>
    internal TaskSwitch Tasks { get; }

    /// <summary>Virtual-8086 mode and I/O permissions.</summary>
    internal Virtual8086 Virtual { get; }

    /// <summary>CR0, CR3, CR4, CR8, EFER, XCR0.</summary>
    internal ControlRegisters Control { get; }

    /// <summary>MSRs that are only stored.</summary>
    internal MsrFile Msrs { get; } = new();

    /// <summary>The time-stamp counter.</summary>
    internal TimeStamp Tsc { get; }

    /// <summary>DR0 to DR7.</summary>
    internal DebugRegisters Debug { get; }

    /// <summary>CPUID.</summary>
    internal CpuIdentification Identification { get; }

    /// <summary>Source of RDRAND and RDSEED.</summary>
    internal FillRandom Entropy { get; }

    /// <summary>Runs until something outside is needed.</summary>
    public VcpuExit Run()
    {
        Blocks.OwnerThread = Environment.CurrentManagedThreadId;
        Peers.Enter(PeerNumber);
        VcpuExit exit;
        do
        {
            if (State->Events != 0)
            {
                continue;
            }

            if (Translator is not null)
            {
                Translator.RunBlocks();
            }
            else
            {
                _interpreter.RunBlocks();
            }
        }
        while (!Events.TryHandle(out exit));
        Peers.Leave(PeerNumber);
        Blocks.OwnerThread = 0;
        return exit;
    }

    /// <summary>Makes <see cref="Run"/> return soon, within a block. Any thread.</summary>
    public void RequestExit() => SetEvent(EventBytes.Stop);

    /// <summary>The interrupt inputs changed: the vCPU must look. Any thread.</summary>
    public void SignalInterrupt()
    {
        Events.SignalInterrupt();

        // Pairs with Halt, which stores Activity before it looks at the inputs a last time.
        if (Volatile.Read(ref State->Activity) != Activity.Active)
        {
            _onWake?.Invoke();
        }
    }

    /// <summary>Power-on or reset: real mode at FFFF_FFF0H; vCPUs other than 0 wait for a startup IPI.</summary>
    public void Reset()
    {
        VcpuReset.PowerOn(this);
        LocalApic.Reset();
        AfterStateChange();
    }

    /// <summary>Puts a boot loader's state on top of the reset state. Paused.</summary>
    public void Load(in InitialState initial)
    {
        VcpuReset.Load(this, initial);
        AfterStateChange();
    }

    /// <inheritdoc/>
    public void Transfer(ref StateCodec state)
    {
        VcpuSection.Transfer(this, ref state);
        if (!state.IsSaving)
        {
            AfterStateChange();
        }
    }

    /// <summary>At a cut: the next store to every page is seen again. Paused.</summary>
    public void RearmWrites() => Mmu.Tlb.RearmWrites();

    /// <summary>RAM was loaded: drops translations and decoded code. Paused.</summary>
    public void AfterLoad()
    {
        Blocks.Clear();
        AfterStateChange();
    }

    /// <summary>INIT: as reset, but caches, FPU, MTRRs, TSC and most MSRs keep their values.</summary>
    internal void Initialize()
    {
        VcpuReset.Initialize(this);
        AfterStateChange();
    }

    /// <summary>SIPI: real mode at page <paramref name="page"/>.</summary>
    internal void Start(byte page)
    {
        State->Activity = Activity.Active;
        ref Segment code = ref State->Segments[SegmentRegister.Cs];
        code.Selector = (ushort)(page << 8);
        code.Base = (ulong)page << 12;
        State->Rip = 0;
        AfterStateChange();
    }

    /// <summary>Runs exactly one instruction; Fault: it was delivered.</summary>
    internal Outcome StepOne() => _interpreter.StepOne();

    // Everything derived from the registers: modes, TLB, and what is to be looked at.
    private void AfterStateChange()
    {
        Monitor.Disarm();
        Mmu.Tlb.FlushAll();
        Segments.UpdateMode();
        Events.SignalInterrupt();
        Events.OnFlagsChanged();
    }

    /// <summary>Records an exception without error code; the caller returns <see cref="Outcome.Fault"/>.</summary>
    internal Outcome Raise(byte vector)
    {
        State->FaultVector = vector;
        State->FaultHasErrorCode = 0;
        State->FaultErrorCode = 0;
        return Outcome.Fault;
    }

    /// <summary>Records an exception with error code; the caller returns <see cref="Outcome.Fault"/>.</summary>
    internal Outcome Raise(byte vector, uint errorCode)
    {
        State->FaultVector = vector;
        State->FaultHasErrorCode = 1;
        State->FaultErrorCode = errorCode;
        return Outcome.Fault;
    }

    internal void SetEvent(int cause)
    {
        ((byte*)&State->Events)[cause] = 1;
        Thread.MemoryBarrier(); // the flag before whatever the caller waits for; pairs with the block entry's poll
    }

    /// <summary>Clears an event and says whether it was set.</summary>
    internal bool TakeEvent(int cause)
    {
        // Never cleared unseen: another thread may set it between a look and a store.
        ref byte flag = ref ((byte*)&State->Events)[cause];
        return Volatile.Read(ref flag) != 0 && Interlocked.Exchange(ref flag, 0) != 0;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Translator?.Dispose();
        Blocks.Dispose();
        Stubs.Dispose();
        Memory.Dispose();
    }
}
