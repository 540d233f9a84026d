using System;
using System.Threading;
using Hypervisor.Core.Host;
using Hypervisor.Cpu;

namespace Hypervisor.Machine;

/// <summary>The thread that runs one vCPU, and the way to hold it still.</summary>
/// <remarks>
/// A pause takes microseconds: a running vCPU leaves at its next block entry and says so; one that idles in HLT is held
/// where it is, without waking its thread.
/// </remarks>
internal sealed class VcpuThread : IDisposable
{
    private const int Running = 0; // in Vcpu.Run, or on the way there
    private const int Idle = 1;    // halted, waiting for an interrupt
    private const int Parked = 2;  // held by Pause

    private readonly Vcpu _vcpu;
    private readonly Action _beforeRun;
    private readonly Action _onShutdown;
    private readonly Action _onIdle;
    private readonly Thread _thread;
    private readonly IdleWait _wake;
    private readonly IdleWait _parked = new(null); // whoever pauses waits here
    private int _phase = Running;
    private bool _wasIdle;
    private volatile bool _isPaused;
    private volatile bool _isStopping;
    private volatile bool _isHeld;

    /// <param name="vcpu">What it runs.</param>
    /// <param name="beforeRun">Called on the thread each time before the vCPU runs.</param>
    /// <param name="onShutdown">Called on the thread after a triple fault.</param>
    /// <param name="onIdle">Called on the thread when the vCPU has halted.</param>
    /// <param name="timers">See <see cref="IdleWait"/>.</param>
    /// <param name="machineName">For the thread's name.</param>
    internal VcpuThread(
        Vcpu vcpu, Action beforeRun, Action onShutdown, Action onIdle, Func<long>? timers, string machineName)
    {
        _onIdle = onIdle;
        _wake = new IdleWait(timers);
        _vcpu = vcpu;
        _beforeRun = beforeRun;
        _onShutdown = onShutdown;
        _thread = new Thread(Run) { Name = $"{machineName}: vCPU {vcpu.Index}", IsBackground = true };
    }

    /// <summary>Starts the thread; it stands still until the first <see cref="Resume"/>.</summary>
    internal void Start()
    {
        _isPaused = true;
        _phase = Parked;
        _thread.Start();
    }

    /// <summary>Something for a halted vCPU to look at. Any thread.</summary>
    internal void Wake() => _wake.Set();

    /// <summary>Whether the vCPU is halted and waits.</summary>
    internal bool IsIdle => Volatile.Read(ref _phase) == Idle; // pairs with WaitForWork

    /// <summary>Begins a pause; follow with <see cref="WaitParked"/>.</summary>
    internal void RequestPause()
    {
        _isPaused = true;
        _wasIdle = Interlocked.CompareExchange(ref _phase, Parked, Idle) == Idle;
        if (!_wasIdle)
        {
            _vcpu.RequestExit();
        }
    }

    /// <summary>Waits until the vCPU stands at an instruction boundary.</summary>
    internal void WaitParked()
    {
        // Again, if what ended the wait is left over from a pause that saw the phase before it had to wait.
        while (!IsStopped)
        {
            _parked.Wait();
        }
    }

    /// <summary>Whether it stands still for the pause that was asked for.</summary>
    internal bool IsStopped => _wasIdle || Volatile.Read(ref _phase) == Parked; // pairs with Park

    /// <summary>Ends a pause.</summary>
    internal void Resume()
    {
        _isPaused = false;
        Volatile.Write(ref _phase, _wasIdle ? Idle : Running); // pairs with the reads in Park and WaitForWork
        _wake.Set();
    }

    /// <summary>Lets the vCPU stand still for good, from its own or another thread: the guest ended.</summary>
    internal void Hold()
    {
        _isHeld = true;
        _vcpu.RequestExit();
    }

    /// <summary>Ends the thread; the machine is paused or not, it does not matter.</summary>
    internal void Stop()
    {
        _isStopping = true;
        _vcpu.RequestExit();
        _wake.Set();
        if (_thread.IsAlive && Environment.CurrentManagedThreadId != _thread.ManagedThreadId)
        {
            _thread.Join();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Stop();
        _wake.Dispose();
        _parked.Dispose();
    }

    private void Run()
    {
        HostEvent.WakeThisThreadOnTime();
        while (!_isStopping)
        {
            if (_isPaused)
            {
                Park();
                continue;
            }

            _beforeRun();
            if (_isHeld)
            {
                WaitForWork();
                continue;
            }

            switch (_vcpu.Run())
            {
                case VcpuExit.Halted:
                    WaitForWork();
                    break;
                case VcpuExit.Shutdown:
                    _onShutdown();
                    break;
                case VcpuExit.Requested:
                    break;
            }
        }
    }

    // The phase is written again in each turn: a resume and the next pause may both come while this thread sleeps.
    private void Park()
    {
        while (_isPaused && !_isStopping)
        {
            if (Interlocked.Exchange(ref _phase, Parked) != Parked)
            {
                _parked.Set();
            }

            _wake.Wait();
        }
    }

    private void WaitForWork()
    {
        // A fence: pairs with RequestPause's compare-and-swap, and with who asks to be told and then looks here.
        _ = Interlocked.Exchange(ref _phase, Idle);
        _onIdle();
        while (!_isStopping)
        {
            if (_isPaused && Volatile.Read(ref _phase) == Idle)
            {
                // The pause began between Run and the write above, and its request to exit is what ended Run.
                if (Interlocked.CompareExchange(ref _phase, Running, Idle) == Idle)
                {
                    return;
                }
            }

            _wake.Wait();
            if (Interlocked.CompareExchange(ref _phase, Running, Idle) == Idle)
            {
                return;
            }
        }
    }
}
