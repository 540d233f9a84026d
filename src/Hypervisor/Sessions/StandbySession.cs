using System;
using System.Collections.Generic;
using System.IO;
using System.Net;
using System.Net.Sockets;
using System.Threading.Tasks;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Console;
using Hypervisor.CommandLine;
using Hypervisor.Core.Host;
using Hypervisor.Core.Time;
using Hypervisor.Machine;
using Hypervisor.Replication.Session;
using Hypervisor.Replication.Standby;
using Replicator = Hypervisor.Replication.Session.StandbySession;

namespace Hypervisor.Sessions;

/// <summary>Waits for a primary, holds its last committed epoch, and runs the guest once the primary is gone.</summary>
internal sealed class StandbySession : IDisposable
{
    private const int PollMillis = 50;
    private const long StagedBytesBeyondRam = 64 << 20;

    private readonly HostClock _clock = new();
    private readonly Witness _witness;
    private readonly StatusReport _report;
    private readonly List<IBlockDevice> _drives;
    private readonly Machine.Machine _machine;
    private readonly SessionOutcome _outcome;
    private readonly Replicator _replicator;
    private readonly TaskCompletionSource<GuestEnd> _guestEnd =
        new(TaskCreationOptions.RunContinuationsAsynchronously);

    private StandbySession(MachineConfig config, ProtectionConfig protection, Endpoint listen, StatusReport report)
    {
        _report = report;
        _drives = MachineParts.OpenDrives(config);
        List<IByteStream> serials = SerialStreams.Open(config.Serials, OnEscape);
        _machine = new Machine.Machine(
            config,
            _drives,
            serials,
            MachineParts.OpenNetworks(config, startsNow: false),
            _clock,
            end => _guestEnd.TrySetResult(MachineParts.Describe(end)));
        _machine.Start();
        Replicator? replicator = null;
        var reported = new ReportedEvents(report, _clock, isStandby: true)
        {
            TakeoverEpoch = () => (long)(replicator?.Statistics.Status.AppliedEpoch ?? 0),
        };
        _outcome = new SessionOutcome(reported);
        _witness = protection.Witness.Open(_clock);
        try
        {
            _replicator = replicator = new Replicator(new StandbySetup
            {
                CreateMachine = _ => _machine,
                Disks = _drives,
                Consoles = serials,
                StateFolder = StateFolder(config, protection),
                Listen = new IPEndPoint(Resolve(listen.Host), listen.Port),
                Witness = _witness,
                Options = Options(config, protection, listen),
                Clock = _clock,
                Events = _outcome,
            });
        }
        catch (Exception error) when (error is IOException or SocketException)
        {
            _machine.Dispose();
            throw new FailureException($"--listen {listen}: {error.Message}");
        }

        report.Send(new StatusEvent(StatusKind.Listening, _clock.NowNanos) { Port = _replicator.Address.Port });
    }

    /// <summary>Runs until the guest ended, here or there.</summary>
    public static int Run(MachineConfig config, ProtectionConfig protection, Endpoint listen, StatusReport report)
    {
        using var session = new StandbySession(config, protection, listen, report);
        using var signals = new EndSignals(session.RequestEnd);
        return session.Watch();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _replicator.Dispose();
        _witness.Dispose();
        if (_outcome.Running.IsCompleted)
        {
            _machine.Pause();
        }

        MachineParts.Flush(_drives);
        _machine.Dispose();
    }

    // Beside the first disk: what the journal must survive is what the disks survive.
    private static string StateFolder(MachineConfig config, ProtectionConfig protection)
    {
        string beside = config.Drives.Count > 0 ? config.Drives[0].File
            : protection.Witness.File ?? throw new UsageException(
                "--witness: without a drive the journal lies beside the witness; allowed: file:PATH, or a drive");
        return Directory.CreateDirectory(Path.GetFullPath(beside) + ".journal").FullName;
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

    private StandbyOptions Options(MachineConfig config, ProtectionConfig protection, Endpoint listen)
        => new()
        {
            Node = Guid.NewGuid(),
            Machine = PairIdentity.Of(config, _machine, _drives),
            TakeoverNanos = protection.TakeoverTimeout.Ticks * TimeSpan.NanosecondsPerTick,
            StagedBytesMax = (2 * config.MemoryBytes) + StagedBytesBeyondRam,
            IsAckDurable = protection.IsAckDurable,
            OnWitnessLost = protection.OnWitnessLoss,
            Taints = PairIdentity.Taints(protection, listen),
        };

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
        bool hasSaid = false;
        while (!_guestEnd.Task.Wait(PollMillis))
        {
            if (_outcome.Running.IsCompleted && !hasSaid)
            {
                hasSaid = true;
                _report.Send(new StatusEvent(StatusKind.Unprotected, _clock.NowNanos)
                {
                    Message = "the guest goes on here, without a standby",
                });
            }

            if (_outcome.End.IsCompleted && !_outcome.Running.IsCompleted)
            {
                return _outcome.End.Result.IsPlanned ? ExitCode.Success : ExitCode.Failure;
            }

            if (_report.IsBroken)
            {
                RequestEnd("whoever started this half is gone");
            }
        }

        GuestEnd end = _guestEnd.Task.Result;
        _report.Send(new StatusEvent(StatusKind.Ended, _clock.NowNanos) { Message = end.Reason });
        return end.ExitCode;
    }
}
