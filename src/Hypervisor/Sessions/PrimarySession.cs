using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Block.Filters;
using Hypervisor.Backends.Console;
using Hypervisor.Backends.Network;
using Hypervisor.CommandLine;
using Hypervisor.Core.Time;
using Hypervisor.Machine;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Session;
using Replicator = Hypervisor.Replication.Session.PrimarySession;

namespace Hypervisor.Sessions;

/// <summary>One guest that runs here and is protected by a standby elsewhere.</summary>
internal sealed class PrimarySession : IDisposable
{
    private const int HeldOutputBytesMax = 4 << 20;
    private const int StatusMillis = 100;
    private const long HeartbeatsPerLease = 8;
    private static readonly TimeSpan s_endPatience = TimeSpan.FromSeconds(10);

    private readonly HostClock _clock = new();
    private readonly Witness _witness;
    private readonly StatusReport _report;
    private readonly List<IBlockDevice> _drives;
    private readonly Machine.Machine _machine;
    private readonly SessionOutcome _outcome;
    private readonly Replicator _replicator;
    private readonly TaskCompletionSource<GuestEnd> _guestEnd =
        new(TaskCreationOptions.RunContinuationsAsynchronously);

    private ulong _reportedEpoch;

    private PrimarySession(MachineConfig config, ProtectionConfig protection, Endpoint standby, StatusReport report)
    {
        _report = report;
        _drives = MachineParts.OpenDrives(config);
        EpochTagFilter[] filters = [.. _drives.Select((drive, i) => new EpochTagFilter(drive, i))];
        Replicator? replicator = null;
        OutboxStream[] outboxes = [.. SerialStreams.Open(config.Serials, OnEscape).Select(stream => new OutboxStream(
            stream, HeldOutputBytesMax, () => Volatile.Read(ref replicator)?.OnOutboxOverflow()))];
        List<NetworkPort> networks = MachineParts.OpenNetworks(config, startsNow: true);
        _machine = new Machine.Machine(
            config, filters, outboxes, networks, _clock, end => _guestEnd.TrySetResult(MachineParts.Describe(end)));
        MachineParts.Boot(_machine, config);
        _machine.Start();
        _outcome = new SessionOutcome(new ReportedEvents(report, _clock, isStandby: false));
        _witness = protection.Witness.Open(_clock);
        _replicator = new Replicator(new PrimarySetup
        {
            Machine = _machine,
            Disks = filters,
            Outboxes = outboxes,
            FrameOutboxes = [.. networks.Select(network => network.Outbox)],
            StandbyHost = standby.Host,
            StandbyPort = standby.Port,
            Witness = _witness,
            Options = Options(protection, standby, PairIdentity.Of(config, _machine, filters)),
            Clock = _clock,
            Events = _outcome,
            NextIncarnation = PairIdentity.NextIncarnation,
        });
        Volatile.Write(ref replicator, _replicator); // pairs with the outboxes' overflow callback
    }

    /// <summary>Runs the guest until it ends, or until this side lost it.</summary>
    public static int Run(MachineConfig config, ProtectionConfig protection, Endpoint standby, StatusReport report)
    {
        using var session = new PrimarySession(config, protection, standby, report);
        using var signals = new EndSignals(session.RequestEnd);
        return session.Watch();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _replicator.Dispose();
        _witness.Dispose();
        MachineParts.Flush(_drives);
        _machine.Dispose();
    }

    private static PrimaryOptions Options(
        ProtectionConfig protection, Endpoint standby, Replication.Wire.MachineIdentity machine)
    {
        long lease = Nanos(protection.Lease);
        var options = new PrimaryOptions
        {
            Node = Guid.NewGuid(),
            Machine = machine,
            EpochNanos = Nanos(protection.Epoch),
            OutputEpochNanos = Math.Min(Nanos(protection.Epoch), Nanos(protection.MaxOutputLatency)),
            HeartbeatNanos = Math.Max(1, lease / HeartbeatsPerLease),
            LeaseNanos = lease,
            ProgressNanos = Math.Max(lease * 2, new PrimaryOptions { Node = default, Machine = machine }.ProgressNanos),
            OnStandbyLost = protection.OnStandbyLoss,
            OnWitnessLost = protection.OnWitnessLoss,
            Taints = PairIdentity.Taints(protection, standby),
        };
        return options.FindError() is { } error ? throw new UsageException($"--lease, --epoch: {error}") : options;
    }

    private static long Nanos(TimeSpan time) => time.Ticks * TimeSpan.NanosecondsPerTick;

    private void RequestEnd(string reason) => _guestEnd.TrySetResult(new GuestEnd(reason, ExitCode.Success));

    private void OnEscape(EscapeCommand command)
    {
        if (command == EscapeCommand.Quit)
        {
            RequestEnd("Ctrl-A x");
        }
    }

    private int Watch()
    {
        while (!Task.WaitAll([_guestEnd.Task], StatusMillis) && !_outcome.End.IsCompleted)
        {
            ReportEpoch();
            if (_report.IsBroken)
            {
                RequestEnd("whoever started this half is gone");
            }
        }

        if (!_outcome.End.IsCompleted)
        {
            _replicator.PlanEnd(_guestEnd.Task.Result.Reason);
            _ = _outcome.End.Wait(s_endPatience);
        }

        ReportEpoch();
        ReportPauses();
        bool isPlanned = _outcome.End.IsCompleted && _outcome.End.Result.IsPlanned;
        return isPlanned && _guestEnd.Task.IsCompleted ? _guestEnd.Task.Result.ExitCode : ExitCode.Failure;
    }

    private void ReportPauses()
    {
        PrimaryStatistics statistics = _replicator.Statistics;
        if (statistics.Epochs > 0)
        {
            Say(PauseText.Describe(statistics));
            Say(PauseText.DescribePhases(statistics));
        }
    }

    private void Say(string line)
        => _report.Send(new StatusEvent(StatusKind.State, _clock.NowNanos) { Message = line });

    private void ReportEpoch()
    {
        PrimaryStatistics statistics = _replicator.Statistics;
        PrimaryStatus status = statistics.Status;
        if (status.AckedEpoch != _reportedEpoch)
        {
            _reportedEpoch = status.AckedEpoch;
            _report.Send(new StatusEvent(StatusKind.Epoch, _clock.NowNanos)
            {
                Epoch = (long)status.AckedEpoch,
                PauseMicros = statistics.Pause.MedianNanos / 1000,
                DirtyPages = statistics.LastDirtyPages,
                BytesSent = status.BytesSent,
                LagMicros = status.LagNanos / 1000,
                Message = PairIdentity.Describe(status.State, status.Taints),
            });
        }
    }
}
