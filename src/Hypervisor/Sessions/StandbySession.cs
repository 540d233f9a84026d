using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Threading;
using Hypervisor.Backends.Block.Filters;
using Hypervisor.CommandLine;
using Hypervisor.Control;
using Hypervisor.Core.Host;
using Hypervisor.Machine;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Link;
using Hypervisor.Replication.Session;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;
using Replicator = Hypervisor.Replication.Session.StandbySession;

namespace Hypervisor.Sessions;

/// <summary>
/// Waits for a primary, holds its last committed epoch, and runs the guest once the primary is gone: protected by the
/// next standby, if there is one.
/// </summary>
internal sealed class StandbySession : IWatchedGuest, IDisposable
{
    private const int PollMillis = 50;
    private const long StagedBytesBeyondRam = 64 << 20;

    private readonly StatusReport _report;
    private readonly GuestWatch _watch;
    private readonly IReadOnlyList<DiskIdentity> _disks;
    private readonly ProtectableGuest _guest;
    private readonly Witness _witness;
    private readonly SessionOutcome _outcome;
    private readonly Replicator _replicator;
    private readonly Endpoint? _next;
    private readonly LinkSecurity _link;
    private readonly PrimaryOptions? _options; // as the primary that it may become
    private readonly MachineConfig _config;
    private readonly FreezableDisk[] _freezables;
    private readonly Lock _drillLock = new(); // protects _drill: asked for on threads of the control socket
    private StandbyDrill? _drill;
    private bool _wasProtected;

    private StandbySession(
        MachineConfig config,
        ProtectionConfig terms,
        Endpoint listen,
        Endpoint? next,
        StatusReport report,
        GuestWatch watch)
    {
        string folder = PairFolder.Of(config, terms);
        Guid node = PairFolder.NodeOf(config, folder);
        _config = config;
        _report = report;
        _watch = watch;
        _next = next;
        _link = terms.Link;
        _guest = new ProtectableGuest(config, folder, isBooted: false);
        _disks = _guest.Identity.Disks;
        _freezables = [.. _guest.Drives.Select(drive => new FreezableDisk(drive))];
        _options = next is { } standby ? Protection.Options(terms, standby, node, _guest.Identity) : null;
        Replicator? replicator = null;
        var reported = new ReportedEvents(report, _guest.Clock, isStandby: true)
        {
            TakeoverEpoch = () => (long)(replicator?.Statistics.Status.AppliedEpoch ?? 0),
        };
        _outcome = new SessionOutcome(reported);
        _witness = terms.Witness.Open(_guest.Clock);
        try
        {
            _replicator = replicator = new Replicator(new StandbySetup
            {
                CreateMachine = _ => _guest.Machine,
                Disks = _freezables,
                Filters = _guest.Disks,
                SharedDisks = _guest.SharedDisks,
                Consoles = _guest.Outboxes, // what is repeated counts: the next standby speaks of offsets as well
                StateFolder = folder,
                ImagesWritten = () => PairFolder.ImagesWritten(config),
                Intents = _guest.Intents,
                Listen = new IPEndPoint(Resolve(listen.Host), listen.Port),
                Security = terms.Link,
                Witness = _witness,
                Options = Options(config, terms, listen, node),
                Clock = _guest.Clock,
                Events = _outcome,
            });
        }
        catch (Exception error) when (error is IOException or SocketException)
        {
            _guest.Dispose();
            throw new FailureException($"--listen {listen}: {error.Message}");
        }

        report.Send(new StatusEvent(StatusKind.Listening, _guest.Clock.NowNanos) { Port = _replicator.Address.Port });
    }

    /// <summary>Runs until the guest ended, here or there; or, when it follows, until it ended here.</summary>
    /// <param name="config">The machine.</param>
    /// <param name="terms">How the guest is protected.</param>
    /// <param name="listen">Where the primary connects to.</param>
    /// <param name="next">Where this side finds a standby once it runs the guest; null: it looks for none.</param>
    /// <param name="follows">Whether to wait for another primary when one is through.</param>
    /// <param name="report">Where events go.</param>
    /// <param name="watch">Where it is shown to the outside.</param>
    /// <returns>The exit code.</returns>
    public static int Run(
        MachineConfig config,
        ProtectionConfig terms,
        Endpoint listen,
        Endpoint? next,
        bool follows,
        StatusReport report,
        GuestWatch watch)
    {
        StandbySession? current = null;
        string? endReason = null;
        using var signals = new EndSignals(reason =>
        {
            Volatile.Write(ref endReason, reason); // pairs with the read below: signals come on other threads
            Volatile.Read(ref current)?._guest.RequestEnd(reason);
        });
        while (true)
        {
            using var session = new StandbySession(config, terms, listen, next, report, watch);
            using IDisposable shown = watch.Show(session);
            listen = listen with { Port = session._replicator.Address.Port };
            Volatile.Write(ref current, session);
            if (Volatile.Read(ref endReason) is { } reason)
            {
                session._guest.RequestEnd(reason);
            }

            int code = session.Watch();
            if (!follows || session._guest.End.IsCompleted)
            {
                return code;
            }
        }
    }

    /// <inheritdoc/>
    public GuestStatus Status() => StatusOf.Standby(_replicator.Statistics, _disks) with
    {
        Balloon = _outcome.Running.IsCompleted ? MachineParts.Balloon(_guest.Machine) : null,
    };

    /// <inheritdoc/>
    public void Stop(string reason) => _guest.RequestEnd(reason);

    /// <inheritdoc/>
    public string? TakeOver()
    {
        StandbyState state = _replicator.Statistics.Status.State;
        if (state != StandbyState.Protecting)
        {
            return $"takeover: the standby is {GuestStates.NameOf(state)}; allowed: one that is protecting";
        }

        _replicator.TakeOver();
        return null;
    }

    /// <inheritdoc/>
    public string? Scrub(long bytesPerSecond) => "scrub: this is no primary; allowed: the one that is protected";

    /// <inheritdoc/>
    public string? StartDrill(DrillTerms terms, out StandbyDrill? drill)
    {
        drill = null;
        StandbyState state = _replicator.Statistics.Status.State;
        if (state != StandbyState.Protecting)
        {
            return $"drill: the standby is {GuestStates.NameOf(state)}; allowed: one that is protecting";
        }

        if (_config.Drives.FirstOrDefault(drive => drive.IsShared) is { } shared)
        {
            return $"drill: drive {shared.Id} is shared with the primary, which writes to it; allowed: a guest whose "
                + "drives are all copied";
        }

        lock (_drillLock)
        {
            if (_drill is { Outcome.IsCompleted: false })
            {
                return "drill: one is under way; allowed: one at a time";
            }

            _drill?.Dispose();
            drill = _drill = new StandbyDrill(_config, _freezables, _guest.Networks, _replicator, terms);
            return null;
        }
    }

    /// <inheritdoc/>
    public string? Resize(string disk, long bytes, bool shrinks) => _outcome.Running.IsCompleted
        ? _guest.Resize(disk, bytes, shrinks)
        : "resize: the guest does not run here; allowed: where it runs, at its primary";

    /// <inheritdoc/>
    public string? SetMemory(long bytes) => _outcome.Running.IsCompleted
        ? MachineParts.SetMemory(_guest.Machine, bytes)
        : "balloon: the guest does not run here; allowed: where it runs, at its primary";

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_drillLock)
        {
            _drill?.Dispose(); // before the replicator, which may be copying for it
        }

        _replicator.Dispose();
        _witness.Dispose();
        if (_outcome.Running.IsCompleted && !_wasProtected)
        {
            _guest.Machine.Pause();
        }

        _guest.Dispose();
    }

    private static IPAddress Resolve(string host)
    {
        try
        {
            return HostAddress.Resolve(host);
        }
        catch (SocketException error)
        {
            throw new FailureException($"--listen {host}: {error.Message}");
        }
    }

    private StandbyOptions Options(MachineConfig config, ProtectionConfig terms, Endpoint listen, Guid node)
        => new()
        {
            Node = node,
            Machine = _guest.Identity,
            TakeoverNanos = terms.TakeoverTimeout.Ticks * TimeSpan.NanosecondsPerTick,
            StagedBytesMax = (2 * config.MemoryBytes) + StagedBytesBeyondRam,
            IsAckDurable = terms.IsAckDurable,
            Compressions = LinkCompression.Available,
            OnWitnessLost = terms.OnWitnessLoss,
            Taints = PairIdentity.Taints(terms, listen),
        };

    private int Watch()
    {
        bool hasSaid = false;
        while (!_guest.End.Wait(PollMillis))
        {
            bool isRunning = _outcome.Running.IsCompleted;
            if (isRunning && _next is { } next)
            {
                _wasProtected = true;
                using var protection = new Protection(
                    _guest,
                    _options!,
                    next,
                    _link,
                    _witness,
                    _report,
                    _replicator.Succeed);
                using IDisposable shown = _watch.Show(protection);
                return protection.Watch();
            }

            if (isRunning && !hasSaid)
            {
                hasSaid = true;
                _report.Send(new StatusEvent(StatusKind.Unprotected, _guest.Clock.NowNanos)
                {
                    Message = "the guest goes on here, without a standby",
                });
            }

            if (_outcome.End.IsCompleted && !isRunning)
            {
                return _outcome.End.Result.IsPlanned ? ExitCode.Success : ExitCode.Failure;
            }

            if (_report.IsBroken)
            {
                _guest.RequestEnd("whoever started this half is gone");
            }
        }

        GuestEnd end = _guest.End.Result;
        _report.Send(new StatusEvent(StatusKind.Ended, _guest.Clock.NowNanos) { Message = end.Reason });
        return end.ExitCode;
    }
}
