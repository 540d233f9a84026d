using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading.Tasks;
using Hypervisor.CommandLine;
using Hypervisor.Control;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Link;
using Hypervisor.Replication.Session;
using Hypervisor.Replication.Wire;
using Replicator = Hypervisor.Replication.Session.PrimarySession;

namespace Hypervisor.Sessions;

/// <summary>A guest of this host under protection by a standby elsewhere, to its end.</summary>
internal sealed class Protection : IWatchedGuest, IDisposable
{
    private const int StatusMillis = 100;
    private const long HeartbeatsPerLease = 8;
    private static readonly TimeSpan s_endPatience = TimeSpan.FromSeconds(10);

    private readonly ProtectableGuest _guest;
    private readonly StatusReport _report;
    private readonly IReadOnlyList<DiskIdentity> _disks;
    private readonly SessionOutcome _outcome;
    private readonly Replicator _replicator;
    private readonly bool _isPaced;
    private ulong _reportedEpoch;

    /// <summary>Begins to look for the standby.</summary>
    /// <param name="guest">Whom to protect.</param>
    /// <param name="options">How, from <see cref="Options"/>.</param>
    /// <param name="standby">Where the standby listens.</param>
    /// <param name="link">How the two make sure of each other.</param>
    /// <param name="witness">The pair's.</param>
    /// <param name="report">Where events go.</param>
    /// <param name="start">Makes the session: starts the guest, or goes on with one that runs.</param>
    public Protection(
        ProtectableGuest guest,
        PrimaryOptions options,
        Endpoint standby,
        LinkSecurity link,
        Witness witness,
        StatusReport report,
        Func<PrimarySetup, Replicator> start)
    {
        _guest = guest;
        _report = report;
        _disks = options.Machine.Disks;
        _isPaced = options.Pace is not null;
        _outcome = new SessionOutcome(new ReportedEvents(report, guest.Clock, isStandby: false));
        _replicator = start(new PrimarySetup
        {
            Machine = guest.Machine,
            Disks = guest.Disks,
            Intents = guest.Intents,
            Outboxes = guest.Outboxes,
            FrameOutboxes = [.. guest.Networks.Select(network => network.Outbox)],
            SharedDisks = guest.SharedDisks,
            StandbyHost = standby.Host,
            StandbyPort = standby.Port,
            Security = link,
            Witness = witness,
            Options = options,
            Clock = guest.Clock,
            Events = _outcome,
            NextIncarnation = PairIdentity.NextIncarnation,
        });
        guest.SetOverflow(_replicator.OnOutboxOverflow);
    }

    /// <summary>What the user asked for, as settings of the protocol.</summary>
    /// <param name="terms">The user's words.</param>
    /// <param name="standby">Where the standby listens.</param>
    /// <param name="node">This side, as the witness knows it.</param>
    /// <param name="machine">What both halves must agree on.</param>
    /// <exception cref="UsageException">The terms do not fit each other.</exception>
    public static PrimaryOptions Options(
        ProtectionConfig terms, Endpoint standby, Guid node, MachineIdentity machine)
    {
        long lease = Nanos(terms.Lease);
        var options = new PrimaryOptions
        {
            Node = node,
            Machine = machine,
            EpochNanos = Nanos(terms.Epoch),
            OutputEpochNanos = Math.Min(Nanos(terms.Epoch), Nanos(terms.MaxOutputLatency)),
            Pace = !terms.IsEpochAuto ? null : new PaceOptions
            {
                MaxOutputLatencyNanos = Nanos(terms.MaxOutputLatency),
                MaxPauseNanos = Nanos(terms.MaxPause),
                MaxStagingBytes = terms.MaxStagingBytes,
            },
            HeartbeatNanos = Math.Max(1, lease / HeartbeatsPerLease),
            LeaseNanos = lease,
            ProgressNanos = Math.Max(lease * 2, new PrimaryOptions { Node = default, Machine = machine }.ProgressNanos),
            Compression = terms.Compression,
            OnStandbyLost = terms.OnStandbyLoss,
            OnWitnessLost = terms.OnWitnessLoss,
            Taints = PairIdentity.Taints(terms, standby),
        };
        return options.FindError() is { } error ? throw new UsageException($"--lease, --epoch: {error}") : options;
    }

    /// <summary>Runs the guest until it ends, or until this side lost it.</summary>
    /// <returns>The exit code.</returns>
    public int Watch()
    {
        while (!Task.WaitAll([_guest.End], StatusMillis) && !_outcome.End.IsCompleted)
        {
            ReportEpoch();
            if (_report.IsBroken)
            {
                _guest.RequestEnd("whoever started this half is gone");
            }
        }

        if (!_outcome.End.IsCompleted)
        {
            _replicator.PlanEnd(_guest.End.Result.Reason);
            _ = _outcome.End.Wait(s_endPatience);
        }

        ReportEpoch();
        ReportPauses();
        if (!_outcome.End.IsCompleted || !_outcome.End.Result.IsPlanned)
        {
            return ExitCode.Failure;
        }

        return _guest.End.IsCompleted ? _guest.End.Result.ExitCode : ExitCode.Success; // else it was handed over
    }

    /// <inheritdoc/>
    public GuestStatus Status() => StatusOf.Primary(
        _replicator.Statistics, _replicator.RecentPauses, _replicator.PauseCounts, _outcome.Copy, _disks) with
    {
        Balloon = MachineParts.Balloon(_guest.Machine),
    };

    /// <inheritdoc/>
    public void Stop(string reason) => _guest.RequestEnd(reason);

    /// <inheritdoc/>
    public string? TakeOver()
    {
        PrimaryState state = _replicator.Statistics.Status.State;
        if (state != PrimaryState.Protected || _guest.End.IsCompleted)
        {
            return $"takeover: the primary is {GuestStates.NameOf(state)}; allowed: one that is protected";
        }

        _replicator.SwitchOver();
        return null;
    }

    /// <inheritdoc/>
    public string? Scrub(long bytesPerSecond)
    {
        PrimaryStatus status = _replicator.Statistics.Status;
        if (status.State != PrimaryState.Protected || status.Scrub.State == ScrubState.Running)
        {
            string isBusy = status.Scrub.State == ScrubState.Running ? ", and a scrub is running" : "";
            return $"scrub: the primary is {GuestStates.NameOf(status.State)}{isBusy}; allowed: one that is protected, "
                + "one at a time";
        }

        _replicator.Scrub(bytesPerSecond);
        return null;
    }

    /// <inheritdoc/>
    public string? Resize(string disk, long bytes, bool shrinks)
    {
        // The full copy goes by the sizes that both halves began with.
        PrimaryState state = _replicator.Statistics.Status.State;
        return state is PrimaryState.Protected or PrimaryState.Alone or PrimaryState.Waiting
            ? _guest.Resize(disk, bytes, shrinks)
            : $"resize: the guest is {GuestStates.NameOf(state)}; allowed: one that is protected, or has no standby";
    }

    /// <inheritdoc/>
    public string? SetMemory(long bytes) => MachineParts.SetMemory(_guest.Machine, bytes);

    /// <inheritdoc/>
    public void Dispose()
    {
        _guest.SetOverflow(static () => { });
        _replicator.Dispose();
    }

    private static long Nanos(TimeSpan time) => time.Ticks * TimeSpan.NanosecondsPerTick;

    private void ReportPauses()
    {
        PrimaryStatistics statistics = _replicator.Statistics;
        if (statistics.Epochs > 0)
        {
            Say(PauseText.Describe(statistics));
            Say(PauseText.DescribeSent(statistics));
            Say(PauseText.DescribePhases(statistics));
            Say(PaceText.Describe(statistics.CutReasons));
        }
    }

    private void Say(string line)
        => _report.Send(new StatusEvent(StatusKind.State, _guest.Clock.NowNanos) { Message = line });

    private void ReportEpoch()
    {
        PrimaryStatistics statistics = _replicator.Statistics;
        PrimaryStatus status = statistics.Status;
        if (status.AckedEpoch != _reportedEpoch)
        {
            _reportedEpoch = status.AckedEpoch;
            _report.Send(new StatusEvent(StatusKind.Epoch, _guest.Clock.NowNanos)
            {
                Epoch = (long)status.AckedEpoch,
                PauseMicros = statistics.Pause.MedianNanos / 1000,
                DirtyPages = statistics.LastDirtyPages,
                BytesSent = status.BytesSent,
                LagMicros = status.LagNanos / 1000,
                Message = PairIdentity.Describe(status.State, status.Taints)
                    + (_isPaced ? $", last cut: {PaceText.Describe(statistics.LastCut)}" : ""),
            });
        }
    }
}
