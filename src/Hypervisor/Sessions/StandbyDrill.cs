using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Block.Filters;
using Hypervisor.Backends.Console;
using Hypervisor.Backends.Network;
using Hypervisor.Core.Host;
using Hypervisor.Core.Time;
using Hypervisor.Machine;
using Hypervisor.Replication.Session;
using Replicator = Hypervisor.Replication.Session.StandbySession;

namespace Hypervisor.Sessions;

/// <summary>
/// Runs a copy of the guest beside its standby, which goes on to protect it, and throws the copy away. Its disks are
/// frozen, its NICs unplugged, its consoles kept for the report.
/// </summary>
internal sealed class StandbyDrill : IDisposable
{
    private const int LookMillis = 20;

    private readonly MachineConfig _config;
    private readonly IReadOnlyList<FreezableDisk> _disks;
    private readonly IReadOnlyList<NetworkPort> _networks;
    private readonly Replicator _replicator;
    private readonly DrillTerms _terms;
    private readonly HostClock _clock = new();
    private readonly TaskCompletionSource<DrillOutcome> _outcome =
        new(TaskCreationOptions.RunContinuationsAsynchronously);

    private readonly TaskCompletionSource<(bool HasPassed, string Reason)> _end = new();
    private readonly Thread _thread;
    private FrozenDisk[] _frozen = [];

    /// <summary>Begins.</summary>
    /// <param name="config">The machine.</param>
    /// <param name="disks">The standby's disks, as it writes to them.</param>
    /// <param name="networks">What the standby's NICs would be plugged into.</param>
    /// <param name="replicator">The standby.</param>
    /// <param name="terms">What the drill is to be.</param>
    public StandbyDrill(
        MachineConfig config,
        IReadOnlyList<FreezableDisk> disks,
        IReadOnlyList<NetworkPort> networks,
        Replicator replicator,
        DrillTerms terms)
    {
        _config = config with { CountsInstructions = true };
        _disks = disks;
        _networks = networks;
        _replicator = replicator;
        _terms = terms;
        _thread = new Thread(Run) { Name = "drill", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Completes when nothing is left of it.</summary>
    public Task<DrillOutcome> Outcome => _outcome.Task;

    /// <summary>Ends it. Any thread, at once.</summary>
    public void End(string reason) => _end.TrySetResult((false, reason));

    /// <summary>Ends it and waits until nothing is left.</summary>
    public void Dispose()
    {
        End("the standby ends");
        _thread.Join();
    }

    private void Run()
    {
        DrillOutcome outcome;
        try
        {
            outcome = RunCopy();
        }
        catch (Exception error) when (error is BlockImageException or HostException or OutOfMemoryException)
        {
            outcome = new DrillOutcome(0, false, error.Message, 0, 0, 0, []);
        }

        _outcome.SetResult(outcome);
    }

    private DrillOutcome RunCopy()
    {
        _frozen = [.. _disks.Select(disk => disk.NewFrozen())];
        var console = new DrillConsole(_terms.Until, () => _end.TrySetResult((true, "the pattern came")));
        IByteStream[] consoles = [.. _config.Serials.Select(_ => console)];
        NetworkPort[] networks = [.. _networks.Select(network => new NetworkPort(
            $"{_config.Name} drill", new UnpluggedBackend(network.HasOffloads, network.QueueCount)))];
        using var machine = new Machine.Machine(
            _config, _frozen, consoles, networks, _clock, end => OnGuestEnd(MachineParts.Describe(end)));
        machine.Start();
        try
        {
            return RunCopy(machine, console);
        }
        finally
        {
            foreach (FreezableDisk disk in _disks)
            {
                disk.Thaw();
            }
        }
    }

    private DrillOutcome RunCopy(Machine.Machine machine, DrillConsole console)
    {
        long startNanos = _clock.NowNanos;
        var copy = new GuestCopy(machine, Freeze, BreakOff);
        _replicator.CopyGuest(copy);
        copy.Epoch.Wait();
        (ulong epoch, string? error) = copy.Epoch.Result;
        long copiedNanos = _clock.NowNanos;
        if (error is not null)
        {
            return new DrillOutcome(epoch, false, error, 0, (copiedNanos - startNanos) / 1000, 0, []);
        }

        machine.AfterLoad();
        machine.Resume();
        while (!_end.Task.Wait(LookMillis))
        {
            Look(console, copiedNanos);
        }

        machine.Pause();
        console.Look(); // its last words may have been those that were waited for
        (bool hasPassed, string reason) = _end.Task.Result;
        return new DrillOutcome(
            epoch,
            hasPassed,
            reason,
            machine.InstructionCount,
            (copiedNanos - startNanos) / 1000,
            (_clock.NowNanos - copiedNanos) / 1000,
            console.LastLines);
    }

    private void Look(DrillConsole console, long startNanos)
    {
        console.Look();
        if (Array.Exists(_frozen, disk => disk.IsBroken))
        {
            End("the state of its disks could not be kept");
        }
        else if ((_clock.NowNanos - startNanos) / TimeSpan.NanosecondsPerTick >= _terms.Time.Ticks)
        {
            bool hasPassed = _terms.Until is null;
            _ = _end.TrySetResult((hasPassed, hasPassed ? "its time is over" : "the pattern did not come"));
        }
    }

    private void OnGuestEnd(GuestEnd end) => End(end.Reason);

    private void Freeze()
    {
        for (int i = 0; i < _frozen.Length; i++)
        {
            _disks[i].Freeze(_frozen[i]);
        }
    }

    /// <summary>The standby takes over, or gave up: what it writes from here on is not held up for a drill.</summary>
    private void BreakOff()
    {
        Array.ForEach(_frozen, disk => disk.Break());
        End("the standby no longer protects: it takes over, or lost its primary");
    }
}
