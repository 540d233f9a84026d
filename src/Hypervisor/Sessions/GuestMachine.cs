using System;
using System.Collections.Generic;
using System.Threading.Tasks;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Console;
using Hypervisor.CommandLine;
using Hypervisor.Control;
using Hypervisor.Core.Time;
using Hypervisor.Cpu;
using Hypervisor.Machine;

namespace Hypervisor.Sessions;

/// <summary>A machine as an unprotected session sees it: started, waited for, ended.</summary>
internal sealed class GuestMachine : IWatchedGuest, IDisposable
{
    private readonly MachineConfig _config;
    private readonly List<IBlockDevice> _drives;
    private readonly Machine.Machine _machine;
    private readonly TaskCompletionSource<GuestEnd> _end = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Assembles the machine; owns <paramref name="serials"/>.</summary>
    /// <exception cref="FailureException">The machine cannot be assembled.</exception>
    public GuestMachine(MachineConfig config, IReadOnlyList<IByteStream> serials)
    {
        _config = config;
        _drives = MachineParts.OpenDrives(config);
        _machine = new Machine.Machine(
            config,
            _drives,
            serials,
            MachineParts.OpenNetworks(config, startsNow: true),
            new HostClock(),
            end => _end.TrySetResult(MachineParts.Describe(end)));
        try
        {
            MachineParts.Boot(_machine, config);
        }
        catch (FailureException)
        {
            _machine.Dispose();
            throw;
        }
    }

    /// <summary>Guest instructions run so far.</summary>
    public ulong InstructionCount => _machine.InstructionCount;

    /// <summary>What the engine of each vCPU did so far.</summary>
    public IEnumerable<EngineStatistics> Statistics => _machine.Statistics;

    /// <summary>Lets the guest run.</summary>
    public void Start()
    {
        _machine.Start();
        _machine.Resume();
    }

    /// <summary>Waits for the end of the guest.</summary>
    /// <returns>How it ended; null when it still runs after <paramref name="patience"/>.</returns>
    public GuestEnd? WaitForEnd(TimeSpan patience) => _end.Task.Wait(patience) ? _end.Task.Result : null;

    /// <summary>Ends the guest from outside: vCPUs stop, images are flushed. Any thread.</summary>
    public void RequestEnd(string reason) => _end.TrySetResult(new GuestEnd(reason, ExitCode.Success));

    /// <inheritdoc/>
    public GuestStatus Status() => StatusOf.Alone(
        PairIdentity.Disks(_config, _drives), _config.CountsInstructions ? InstructionCount : null) with
    {
        Balloon = MachineParts.Balloon(_machine),
    };

    /// <inheritdoc/>
    public void Stop(string reason) => RequestEnd(reason);

    /// <inheritdoc/>
    public string? TakeOver() => "takeover: this guest has no pair; allowed: a standby that is protecting";

    /// <inheritdoc/>
    public string? Scrub(long bytesPerSecond) => "scrub: this guest has no pair; allowed: a primary that is protected";

    /// <inheritdoc/>
    public string? SetMemory(long bytes) => MachineParts.SetMemory(_machine, bytes);

    /// <inheritdoc/>
    public string? Resize(string disk, long bytes, bool shrinks)
        => MachineParts.Resize(_machine, _config, _drives, (disk, bytes, shrinks));

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_machine.IsStarted)
        {
            _machine.Pause();
        }

        MachineParts.Flush(_drives);
        _machine.Dispose();
    }
}
