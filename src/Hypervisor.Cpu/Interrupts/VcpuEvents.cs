using System.Threading;
using Hypervisor.Cpu.State;

namespace Hypervisor.Cpu.Interrupts;

/// <summary>What a vCPU does when it looks up between two blocks. Spec: SDM volume 3, 6.9 (order of events).</summary>
/// <remarks>
/// Costs nothing while nothing is pending: a pending interrupt that IF holds back is remembered in a flag, and whoever
/// sets IF raises the event again (<see cref="OnFlagsChanged"/>). A shadow after STI or MOV SS is remembered with the
/// RIP
/// that it covers, so it needs no event either.
/// </remarks>
internal sealed unsafe class VcpuEvents(Vcpu vcpu)
{
    // DR6.BS, DR6.BT.
    private const ulong SingleStep = 1 << 14;
    private const ulong TaskTrap = 1 << 15;

    private readonly CpuState* _state = vcpu.State;

    // Guest-visible: moved by Vcpu.Transfer.
    private ulong _pendingDebug;   // DR6 bits of the #DB to deliver before the next instruction
    private ulong _shadowRip;      // where the shadow in CpuState.InterruptShadow ends
    private bool _isNmiBlocked;    // between NMI and IRET
    private bool _isRepeating;     // RIP is at a string instruction between two iterations

    // Derived: 1 while the local APIC may have something. Written by any thread, before the event byte.
    // Generated code reads it at STI.
    private readonly ulong* _mayHaveInterrupt = &vcpu.Memory.Engine->MayHaveInterrupt;
    private bool _wasDelivered;

    /// <summary>Remembers that the interrupt inputs changed. Any thread.</summary>
    internal void SignalInterrupt()
    {
        Volatile.Write(ref *_mayHaveInterrupt, 1); // before the event byte, which SetEvent orders
        vcpu.SetEvent(EventBytes.Interrupt);
    }

    /// <summary>
    /// Call after any change of IF or TF: what they hold back or ask for is looked at before the next block.
    /// </summary>
    internal void OnFlagsChanged()
    {
        ulong flags = _state->Rflags;
        if ((flags & Rflags.Interrupt) != 0 && Volatile.Read(ref *_mayHaveInterrupt) != 0)
        {
            vcpu.SetEvent(EventBytes.Interrupt);
        }

        if ((flags & Rflags.Trap) != 0 || vcpu.Debug.HasBreakpoints || _pendingDebug != 0)
        {
            vcpu.SetEvent(EventBytes.Step);
        }
    }

    /// <summary>The instruction after this one runs before any interrupt; call while RIP is its address.</summary>
    internal void BeginShadow(uint kind)
    {
        _state->InterruptShadow = kind;
        _shadowRip = _state->Rip;
    }

    /// <summary>
    /// An event went through the IDT: its handler's first instruction is not stepped for the interrupted one.
    /// </summary>
    internal void OnDelivered()
    {
        _wasDelivered = true;
        _isRepeating = false;
        vcpu.Monitor.Disarm();
        OnFlagsChanged();
    }

    /// <summary>IRET ends the blocking of NMIs, whatever it returns to.</summary>
    internal void OnInterruptReturn()
    {
        if (_isNmiBlocked)
        {
            _isNmiBlocked = false;
            SignalInterrupt();
        }

        OnFlagsChanged();
    }

    /// <summary>Records breakpoints that the running instruction met: #DB follows it.</summary>
    internal void PendDebug(ulong dr6Bits)
    {
        _pendingDebug |= dr6Bits;
        vcpu.SetEvent(EventBytes.Step);
    }

    /// <summary>The T bit of a new task's TSS.</summary>
    internal void PendTaskTrap() => PendDebug(TaskTrap);

    /// <summary>SYSCALL and the like: a trap flag that the instruction cleared steps no more.</summary>
    internal void SuppressStep() => _wasDelivered = true;

    /// <summary>HLT: stops at the next block entry.</summary>
    internal void Halt()
    {
        _state->Activity = Activity.Halted;
        vcpu.SetEvent(EventBytes.Interrupt);
    }

    /// <summary>MWAIT with an armed monitor: waits at the next block entry.</summary>
    internal void WaitForStore()
    {
        _state->Activity = Activity.MonitorWait;
        vcpu.SetEvent(EventBytes.Interrupt);
    }

    /// <summary>Triple fault.</summary>
    internal void ShutDown()
    {
        _state->Activity = Activity.ShutDown;
        vcpu.SetEvent(EventBytes.Interrupt);
    }

    /// <summary>Handles what is pending. True: leave Run with <paramref name="exit"/>.</summary>
    internal bool TryHandle(out VcpuExit exit)
    {
        exit = VcpuExit.Requested;
        if (vcpu.TakeEvent(EventBytes.Peers))
        {
            vcpu.Peers.Serve(vcpu.PeerNumber);
        }

        if (vcpu.TakeEvent(EventBytes.CodeWritten))
        {
            vcpu.Blocks.DropWritten();
        }

        if (vcpu.TakeEvent(EventBytes.Stop))
        {
            return true;
        }

        bool mustStep = vcpu.TakeEvent(EventBytes.Step);
        bool mustLook = vcpu.TakeEvent(EventBytes.Interrupt);
        if (_state->Activity == Activity.ShutDown)
        {
            exit = VcpuExit.Shutdown;
            vcpu.SetEvent(EventBytes.Interrupt);
            return !TryTakeInit();
        }

        if (_state->Activity != Activity.Active && !TryWake())
        {
            exit = VcpuExit.Halted;
            vcpu.SetEvent(EventBytes.Interrupt);
            return true;
        }

        if (_pendingDebug != 0 && !IsInShadow(InterruptShadow.MovSs))
        {
            DeliverTraps();
            return false;
        }

        if (mustLook && IsInShadow(InterruptShadow.Any))
        {
            Step();
            vcpu.SetEvent(EventBytes.Interrupt);
        }
        else if (!(mustLook && TryInterrupt()) && mustStep)
        {
            Step();
        }

        OnFlagsChanged();
        return false;
    }

    /// <summary>Moves the part of the state that is kept here.</summary>
    internal void Transfer(ref Core.State.StateCodec state)
    {
        state.U64(ref _pendingDebug);
        state.U64(ref _shadowRip);
        state.Bool(ref _isNmiBlocked);
        state.Bool(ref _isRepeating);
    }

    /// <summary>Power-on and INIT.</summary>
    internal void Reset()
    {
        _pendingDebug = 0;
        _shadowRip = 0;
        _isNmiBlocked = false;
        _isRepeating = false;
        SignalInterrupt();
    }

    private bool IsInShadow(uint kinds)
    {
        if (_state->InterruptShadow != 0 && _state->Rip != _shadowRip)
        {
            _state->InterruptShadow = 0;
        }

        return (_state->InterruptShadow & kinds) != 0;
    }

    private void DeliverTraps()
    {
        vcpu.Debug.Report(_pendingDebug);
        _pendingDebug = 0;
        vcpu.Exceptions.DeliverDebug();
        OnFlagsChanged();
    }

    private bool TryTakeInit()
    {
        if (!vcpu.LocalApic.TryTakeInit())
        {
            return false;
        }

        vcpu.Initialize();
        return true;
    }

    // Whether something ends HLT, MWAIT or the wait for SIPI.
    private bool TryWake()
    {
        // A SIPI may have come right behind the INIT: nobody signals it a second time.
        if (TryTakeInit() && _state->Activity == Activity.Active)
        {
            return true;
        }

        if (_state->Activity == Activity.WaitingForSipi)
        {
            if (!vcpu.LocalApic.TryTakeStartup(out byte page))
            {
                return false;
            }

            vcpu.Start(page);
            return true;
        }

        bool isWaiting = _state->Activity == Activity.MonitorWait;
        bool looks = (_state->Rflags & Rflags.Interrupt) != 0 || (isWaiting && vcpu.Monitor.BreaksOnInterrupt);
        bool wakes = _pendingDebug != 0 || (!_isNmiBlocked && vcpu.LocalApic.HasNmi)
            || (looks && vcpu.LocalApic.HasInterrupt) || (isWaiting && vcpu.Monitor.IsHit);
        if (wakes)
        {
            _state->Activity = Activity.Active;
            vcpu.Monitor.EndWait();
        }

        return wakes;
    }

    // Takes one of INIT, NMI, interrupt. False: none may be taken now.
    private bool TryInterrupt()
    {
        Volatile.Write(ref *_mayHaveInterrupt, 0); // before the inputs are read: a later change sets it again
        Thread.MemoryBarrier();
        LocalApic apic = vcpu.LocalApic;
        if (TryTakeInit())
        {
            return true;
        }

        bool tookNmi = !_isNmiBlocked && apic.TryTakeNmi();
        if (tookNmi)
        {
            _isNmiBlocked = true;
            Volatile.Write(ref *_mayHaveInterrupt, 1);
            vcpu.Exceptions.DeliverInterrupt(ExceptionVector.NonMaskableInterrupt, TakeRepeating());
            return true;
        }

        if ((_state->Rflags & Rflags.Interrupt) == 0)
        {
            if (apic.HasInterrupt)
            {
                Volatile.Write(ref *_mayHaveInterrupt, 1);
            }

            return false;
        }

        if (!apic.TryAcknowledge(out byte vector))
        {
            return false;
        }

        Volatile.Write(ref *_mayHaveInterrupt, 1); // there may be another
        vcpu.Exceptions.DeliverInterrupt(vector, TakeRepeating());
        return true;
    }

    private bool TakeRepeating()
    {
        bool was = _isRepeating;
        _isRepeating = false;
        return was;
    }

    // Runs one instruction with debug registers and TF looked at.
    private void Step()
    {
        ulong flags = _state->Rflags;
        bool isMovSsShadow = IsInShadow(InterruptShadow.MovSs);
        if ((flags & Rflags.Resume) == 0 && !isMovSsShadow && vcpu.Debug.TryMatchInstruction(out ulong hits))
        {
            vcpu.Debug.Report(hits);
            vcpu.Exceptions.DeliverDebug();
            return;
        }

        _state->Rflags &= ~Rflags.Resume; // done with; IRET may set it anew
        _state->InterruptShadow = 0;
        _wasDelivered = false;
        if ((flags & Rflags.Trap) != 0 || vcpu.Debug.HasBreakpoints)
        {
            vcpu.SetEvent(EventBytes.Step); // string instructions stop after one iteration while an event is up
        }

        _isRepeating = vcpu.StepOne() == Outcome.Restart;
        if (_isRepeating)
        {
            _state->Rflags |= Rflags.Resume;
        }

        if ((flags & Rflags.Trap) != 0 && !_wasDelivered)
        {
            _pendingDebug |= SingleStep;
        }
    }
}
