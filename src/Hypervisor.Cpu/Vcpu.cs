using System;
using System.Runtime.InteropServices;
using System.Threading;
using Hypervisor.Core.Memory;
using Hypervisor.Core.Time;
using Hypervisor.Cpu.Decode;
using Hypervisor.Cpu.Identification;
using Hypervisor.Cpu.Interrupts;
using Hypervisor.Cpu.Paging;
using Hypervisor.Cpu.State;
using Hypervisor.Cpu.Translation;

namespace Hypervisor.Cpu;

/// <summary>One virtual CPU: registers, memory access, decoded code, and the engine that runs it.</summary>
/// <remarks>
/// Owned by the one thread that calls <see cref="Run"/>. Other threads may call <see cref="RequestExit"/> and
/// <see cref="SignalInterrupt"/> only, or anything while the vCPU is out of Run (paused).
/// </remarks>
public sealed unsafe class Vcpu : IDisposable
{
    private readonly Interpreter.Interpreter _interpreter;

    /// <summary>Builds vCPU <paramref name="index"/> in its reset state.</summary>
    public Vcpu(int index, GuestRam ram, IBus bus, GuestTimers timers, VcpuConfig? config = null)
    {
        Index = index;
        Features = (config ?? VcpuConfig.Alone).Model.Features;
        Ram = ram;
        Bus = bus;
        Timers = timers;
        State = (CpuState*)NativeMemory.AlignedAlloc((nuint)sizeof(CpuState), 64);
        NativeMemory.Clear(State, (nuint)sizeof(CpuState));
        Core.Check.That(((ulong)State->Vectors & 63) == 0); // stubs use aligned vector moves
        Mmu = new Mmu(this);
        Stubs = new HostStubs();
        Blocks = new BlockCache(this);
        Exceptions = new ExceptionDelivery(this);
        Events = new VcpuEvents(this);
        _interpreter = new Interpreter.Interpreter(this);
    }

    /// <summary>Number of the vCPU, from 0; also its initial APIC ID.</summary>
    public int Index { get; }

    /// <summary>Registers, in native memory because generated code addresses them.</summary>
    public CpuState* State { get; }

    /// <summary>Guest RAM.</summary>
    public GuestRam Ram { get; }

    /// <summary>The way to MMIO and ports.</summary>
    public IBus Bus { get; }

    /// <summary>Guest time.</summary>
    public GuestTimers Timers { get; }

    /// <summary>What the guest may use: what CPUID says, and what instruction rows ask.</summary>
    public CpuFeatures Features { get; }

    /// <summary>Instructions run so far, for statistics; counted per block.</summary>
    public ulong InstructionCount => _interpreter.InstructionCount;

    /// <summary>Memory as instructions see it.</summary>
    internal Mmu Mmu { get; }

    /// <summary>Decoded code.</summary>
    internal BlockCache Blocks { get; }

    /// <summary>Generated code for instructions that run as the host.</summary>
    internal HostStubs Stubs { get; }

    /// <summary>The way through the IDT.</summary>
    internal ExceptionDelivery Exceptions { get; }

    /// <summary>What happens between blocks.</summary>
    internal VcpuEvents Events { get; }

    /// <summary>Runs until something outside is needed.</summary>
    public VcpuExit Run() => _interpreter.Run();

    /// <summary>Makes <see cref="Run"/> return soon, within a block. Any thread.</summary>
    public void RequestExit() => SetEvent(EventBytes.Stop);

    /// <summary>The interrupt inputs changed: the vCPU must look. Any thread.</summary>
    public void SignalInterrupt() => SetEvent(EventBytes.Interrupt);

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
        byte* flag = (byte*)&State->Events + cause;
        bool was = *flag != 0;
        *flag = 0;
        return was;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Blocks.Dispose();
        Stubs.Dispose();
        Mmu.Dispose();
        NativeMemory.AlignedFree(State);
    }
}
