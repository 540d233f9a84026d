using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Console;
using Hypervisor.Backends.Network;
using Hypervisor.Core;
using Hypervisor.Core.Memory;
using Hypervisor.Core.State;
using Hypervisor.Core.Time;
using Hypervisor.Devices.Virtio;
using Hypervisor.Machine.Boot;

namespace Hypervisor.Machine;

/// <summary>A PC: RAM, vCPUs, board, and the threads that run them.</summary>
/// <remarks>
/// It is built standing still, with empty RAM. <see cref="Boot"/> or a checkpoint fills it, <see cref="Start"/>
/// starts its
/// threads, the first <see cref="Resume"/> lets the guest go. Pause and the Resume that follows are called by one
/// thread:
/// it holds the bus lock between them.
/// </remarks>
public sealed class Machine : IProtectedMachine, IDisposable
{
    private readonly MachineConfig _config;
    private readonly Lock _busLock = new();
    private readonly GuestClock _clock;
    private readonly EventLoop _eventLoop;
    private readonly Board _board;
    private readonly VcpuThread[] _threads;
    private readonly Action<MachineEnd> _onEnded;
    private BootRequest? _boot;
    private Action? _whenIdle;
    private volatile bool _isResetWanted;
    private bool _isEnded;
    private bool _isStarted;
    private bool _hasRun;
    private bool _holdsBus;

    /// <summary>
    /// Assembles a machine; owns <paramref name="drives"/>, <paramref name="serials"/> and
    /// <paramref name="networks"/> from here on.
    /// </summary>
    /// <param name="config">What the user asked for, checked.</param>
    /// <param name="drives">One device per drive of the configuration, in its order.</param>
    /// <param name="serials">One stream per serial line of the configuration, in its order.</param>
    /// <param name="networks">One port per NIC of the configuration, in its order.</param>
    /// <param name="hostClock">Host time.</param>
    /// <param name="onEnded">Called once when the guest ends itself, with the bus lock held: signal and return.</param>
    public Machine(
        MachineConfig config,
        IReadOnlyList<IBlockDevice> drives,
        IReadOnlyList<IByteStream> serials,
        IReadOnlyList<INetworkPort> networks,
        IHostClock hostClock,
        Action<MachineEnd> onEnded)
    {
        Check.That(drives.Count == config.Drives.Count && serials.Count == config.Serials.Count
            && networks.Count == config.Networks.Count);
        _config = config;
        _onEnded = onEnded;
        _clock = new GuestClock(hostClock);
        var timers = new GuestTimers(_clock);
        Ram = new GuestRam(config.MemoryBytes);
        _eventLoop = new EventLoop(_busLock, timers, config.Name);
        _board = new Board(
            config,
            Ram,
            timers,
            _eventLoop,
            _busLock,
            drives,
            serials,
            networks,
            new BoardEvents(RequestReset, End, Wake));
        _threads = new VcpuThread[_board.Vcpus.Count];
        for (int i = 0; i < _threads.Length; i++)
        {
            Func<long>? runTimers = i == 0 ? _eventLoop.RunTimers : null;
            _threads[i] = new VcpuThread(_board.Vcpus[i], BeforeRun, RequestReset, TellIdle, runTimers, config.Name);
        }

        Components = [_clock, .. _board.Components];
    }

    /// <inheritdoc/>
    public GuestRam Ram { get; }

    /// <inheritdoc/>
    public IReadOnlyList<ICheckpointed> Components { get; }

    /// <summary>Guest time.</summary>
    public GuestClock Clock => _clock;

    /// <summary>The disks, in the configuration's order.</summary>
    public IReadOnlyList<VirtioBlk> Disks => _board.Disks;

    /// <summary>The memory balloon; null: none.</summary>
    public VirtioBalloon? Balloon => _board.Balloon;

    /// <summary>Guest instructions run so far, by all vCPUs.</summary>
    public ulong InstructionCount
    {
        get
        {
            ulong count = 0;
            foreach (Cpu.Vcpu vcpu in _board.Vcpus)
            {
                count += vcpu.InstructionCount;
            }

            return count;
        }
    }

    /// <summary>What the engines of the vCPUs did so far.</summary>
    public IEnumerable<Cpu.EngineStatistics> Statistics => _board.Vcpus.Select(vcpu => vcpu.Statistics);

    /// <summary>
    /// Loads the kernel, or the firmware for the first drive's boot sector, and resets vCPU 0 to start it.
    /// </summary>
    /// <exception cref="BootException">It can't be started; the message is for the user.</exception>
    public void Boot(BootRequest request)
    {
        _boot = request;
        _board.Load(BootLoader.Load(Ram, request));
    }

    /// <summary>Starts the threads. The guest stands still until <see cref="Resume"/>.</summary>
    public void Start()
    {
        Check.That(!_isStarted);
        _isStarted = true;
        _eventLoop.Start();
        foreach (VcpuThread thread in _threads)
        {
            thread.Start();
        }
    }

    /// <inheritdoc/>
    public void Pause()
    {
        foreach (VcpuThread thread in _threads)
        {
            thread.RequestPause();
        }

        foreach (VcpuThread thread in _threads)
        {
            thread.WaitParked();
        }

        Check.That(Array.TrueForAll(_threads, static thread => thread.IsStopped)); // what is captured is one instant
        _busLock.Enter();
        _holdsBus = true;
        ResetIfWanted(); // no section says that a reset is wanted: a takeover from this cut would lose it
        _clock.Stop();
    }

    /// <inheritdoc/>
    public void Resume()
    {
        _clock.Start();
        _eventLoop.Wake();
        if (_holdsBus)
        {
            _holdsBus = false;
            _busLock.Exit();
        }

        foreach (VcpuThread thread in _threads)
        {
            thread.Resume();
        }

        if (!_hasRun)
        {
            _hasRun = true;
            _board.StartInput(); // only now: input must not reach a machine that still waits for its state
        }
    }

    /// <inheritdoc/>
    public void WhenIdle(Action onIdle)
    {
        _ = Interlocked.Exchange(ref _whenIdle, onIdle); // a fence: pairs with a vCPU that halts and looks here
        TellIdle();
    }

    /// <inheritdoc/>
    public void RearmWrites()
    {
        foreach (Cpu.Vcpu vcpu in _board.Vcpus)
        {
            vcpu.RearmWrites();
        }
    }

    /// <inheritdoc/>
    public void AfterLoad() => _board.AfterLoad();

    /// <summary>Whether its threads run.</summary>
    public bool IsStarted => _isStarted;

    /// <summary>What the guest calls its CPU: the name of the model.</summary>
    public string CpuModelName => _board.CpuModelName;

    /// <summary>Ends the threads and closes the backends. Not from a thread of the machine.</summary>
    public void Dispose()
    {
        if (_holdsBus && _busLock.IsHeldByCurrentThread)
        {
            _holdsBus = false;
            _busLock.Exit();
        }

        foreach (VcpuThread thread in _threads)
        {
            thread.Stop();
        }

        // A session that stopped the guest for good may have left the bus lock with its own thread: then the event
        // loop waits for it and touches nothing any more.
        _eventLoop.Stop(waits: !_holdsBus);
        _eventLoop.Dispose();
        foreach (VcpuThread thread in _threads)
        {
            thread.Dispose();
        }

        _board.Dispose();
        Ram.Dispose();
    }

    private void TellIdle()
    {
        if (Volatile.Read(ref _whenIdle) is not null // pairs with WhenIdle
            && Array.TrueForAll(_threads, static thread => thread.IsIdle))
        {
            Interlocked.Exchange(ref _whenIdle, null)?.Invoke(); // one of those who see it
        }
    }

    private void Wake(int vcpu) => _threads[vcpu].Wake();

    private void RequestReset()
    {
        if (_config.StopsOnReset)
        {
            End(new MachineEnd(MachineEndKind.Reset));
            return;
        }

        _isResetWanted = true;
        _board.Vcpus[0].RequestExit();
        _threads[0].Wake();
    }

    // On a vCPU's thread, between two runs: no instruction is half done.
    private void BeforeRun()
    {
        if (!_isResetWanted)
        {
            return;
        }

        _board.Peers.RunAlone(() =>
        {
            lock (_busLock)
            {
                ResetIfWanted();
            }
        });
    }

    // Bus lock held, vCPUs at an instruction boundary.
    private void ResetIfWanted()
    {
        if (!_isResetWanted)
        {
            return;
        }

        _isResetWanted = false;
        _board.Reset();

        // A machine that came over the wire has no kernel file: it starts again from its first disk.
        _board.Load(BootLoader.Load(Ram, _boot ?? new BootRequest { CpuCount = _config.CpuCount }));
    }

    private void End(MachineEnd end)
    {
        if (_isEnded)
        {
            return;
        }

        _isEnded = true;
        foreach (VcpuThread thread in _threads)
        {
            thread.Hold();
        }

        _onEnded(end);
    }
}
