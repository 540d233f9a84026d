using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Hypervisor.Backends;
using Hypervisor.Backends.Block.Filters;
using Hypervisor.Replication.Capture;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Link;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Session;

/// <summary>
/// Runs a primary: feeds its core from link, capture, witness and clock, and does what the core wants.
/// </summary>
/// <remarks>One thread calls the core; it never waits for the guest, the link, a disk or the witness.</remarks>
public sealed partial class PrimarySession : IPrimaryActions, ILinkEvents, IDisposable
{
    private const int TickMillisMax = 100; // a wake-up that has nothing to do may cost the guest its processor
    private const int NanosPerMilli = 1_000_000;

    private readonly PrimarySetup _setup;
    private readonly WitnessRecord? _won;
    private readonly ReplicaPoint _point;
    private readonly IEpochOutbox[] _outboxes;
    private readonly PrimaryCore _core;
    private readonly Inbox<PrimaryEvent> _inbox = new();
    private readonly CaptureMeter _meter = new();
    private readonly CaptureThread _capture;
    private readonly WitnessWorker _witness;
    private readonly Connector _connector;
    private readonly Thread _thread;
    private readonly ManualResetEventSlim _notHung = new(true);
    private readonly Lock _statusLock = new(); // protects _status
    private PrimaryStatus _status;
    private readonly Action _onIdle;
    private ulong _idleEpoch;
    private readonly DiscardedBlocks[] _discarded;
    private RamReplica? _replica;
    private IReadOnlyList<DiskIdentity> _announced = []; // to the standby that is there
    private ResyncPlan _plan;
    private CaptureRun? _run;
    private TcpLink? _link;
    private (PrimaryState State, string Reason) _told;
    private string? _toldRefusal;
    private bool _isOver;
    private bool _isDisposed;

    /// <summary>Asks the witness, starts the guest when it may run, and looks for the standby.</summary>
    public PrimarySession(PrimarySetup setup)
        : this(setup, (setup ?? throw new ArgumentNullException(nameof(setup))).Witness)
    {
    }

    /// <summary>Takes the role of one whose guest runs here already, by a record that it won.</summary>
    /// <param name="setup">Of the session.</param>
    /// <param name="witness">The pair's.</param>
    /// <param name="won">What made this side the runner; null: it is to be claimed.</param>
    /// <param name="point">Where the disks stood when this side took over.</param>
    internal PrimarySession(
        PrimarySetup setup, IWitness witness, WitnessRecord? won = null, ReplicaPoint point = default)
    {
        _setup = setup;
        _won = won;
        _point = point;
        _outboxes = [.. setup.AllOutboxes];
        _discarded = [.. setup.Disks.Select(disk => new DiscardedBlocks(disk.LengthBytes))];
        _core = new PrimaryCore(setup.Options, this);
        if (won is null)
        {
            WriteIntents.Continue(setup.Intents, _core.Restore);
        }

        _capture = new CaptureThread(setup, _meter, isRunning: won is not null);
        _witness = new WitnessWorker(
            witness, answer => Post(new PrimaryEvent(PrimaryEventKind.Witness, Answer: answer)),
            setup.Events.OnState);
        _connector = new Connector(
            setup,
            peer => Post(new PrimaryEvent(PrimaryEventKind.Connected, Source: peer)),
            line => Post(new PrimaryEvent(PrimaryEventKind.Refused, Text: line)));
        foreach (IEpochOutbox outbox in _outboxes)
        {
            outbox.OnHeld = epoch => Post(new PrimaryEvent(PrimaryEventKind.OutputHeld, Epoch: epoch));
        }

        WatchShared();

        _onIdle = () => Post(new PrimaryEvent(PrimaryEventKind.GuestIdle, Epoch: Volatile.Read(ref _idleEpoch)));
        _thread = new Thread(Run) { Name = "primary", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Numbers for the status line, some milliseconds old.</summary>
    public PrimaryStatistics Statistics
    {
        get
        {
            lock (_statusLock)
            {
                return _meter.Snapshot(_status) with
                {
                    CutReasons = _core.Cuts.Snapshot(),
                    LastCut = _core.Cuts.Last,
                };
            }
        }
    }

    /// <summary>The longest pause of each of the last 60 seconds, in nanoseconds, oldest first; 0: none.</summary>
    public long[] RecentPauses => _meter.RecentPauses(Now);

    /// <summary>How many pauses of each length: entry n of 2^n nanoseconds and more, but not twice as much.</summary>
    public long[] PauseCounts => _meter.PauseCounts();

    /// <summary>The guest shut down, or is stopped on purpose: commits the last epoch, tells everybody.</summary>
    public void PlanEnd(string reason)
        => _capture.StopGuest(() => Post(new PrimaryEvent(PrimaryEventKind.PlanEnd, Text: reason)));

    /// <summary>
    /// Compares all RAM and all disks with the standby's while the guest runs, at this rate. What comes of it is in
    /// the status and among the events; a difference ends protection.
    /// </summary>
    public void Scrub(long bytesPerSecond)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytesPerSecond);
        Post(new PrimaryEvent(PrimaryEventKind.Scrub, Epoch: (ulong)bytesPerSecond));
    }

    /// <summary>Hands the guest over to the standby; <see cref="PrimaryStatus"/> says how it goes.</summary>
    public void SwitchOver() => Post(new PrimaryEvent(PrimaryEventKind.SwitchOver));

    /// <summary>Console output overflowed its outbox: ends protection, loudly (rule 23).</summary>
    public void OnOutboxOverflow()
        => Post(new PrimaryEvent(
            PrimaryEventKind.Failure, Source: Volatile.Read(ref _run), Text: "console outbox is full"));

    /// <summary>Breaks the link, as a cut cable would. For drills.</summary>
    public void BreakLink(string reason) => Volatile.Read(ref _link)?.Break(reason); // pairs with the session's thread

    /// <summary>Makes the session's thread stand still, as a stopped process does. For drills.</summary>
    internal void Hang(bool isHung)
    {
        if (isHung)
        {
            _notHung.Reset();
        }
        else
        {
            _notHung.Set();
        }
    }

    /// <summary>Ends everything at once, without a word to the other side.</summary>
    public void Dispose()
    {
        if (_isDisposed)
        {
            return;
        }

        _isDisposed = true;
        foreach (IEpochOutbox outbox in _outboxes)
        {
            outbox.OnHeld = static _ => { };
        }

        UnwatchShared();

        _connector.Stop(); // first: the session's thread disposes of what it found
        _notHung.Set();
        Post(new PrimaryEvent(PrimaryEventKind.Quit));
        _thread.Join();
        _connector.Dispose();
        ((IPrimaryActions)this).StopCapture();
        _capture.Dispose();
        _replica?.Dispose();
        _link?.Dispose();
        _witness.Dispose();
        _inbox.Dispose();
        _notHung.Dispose();
    }

    void ILinkEvents.OnReceived(TcpLink link, Message message)
        => Post(new PrimaryEvent(PrimaryEventKind.Received, message, link));

    void ILinkEvents.OnLost(TcpLink link, LinkLoss loss, string reason)
        => Post(new PrimaryEvent(PrimaryEventKind.LinkLost, null, link, Text: reason));

    private void Post(in PrimaryEvent item) => _inbox.Post(item);

    private void Run()
    {
        if (_won is null)
        {
            _core.Start(Now);
        }
        else
        {
            _core.Succeed(_won, _point, Now);
        }

        while (true)
        {
            _notHung.Wait();
            Tell();
            long wait = (_core.NextDeadlineNanos - Now + NanosPerMilli - 1) / NanosPerMilli;
            if (_inbox.TryTake((int)Math.Clamp(wait, 0, TickMillisMax), out PrimaryEvent item))
            {
                if (item.Kind == PrimaryEventKind.Quit)
                {
                    return;
                }

                Handle(item, Now);
            }

            _core.OnTick(Now);
            LookAfterShared();
        }
    }

    private long Now => _setup.Clock.NowNanos;

    private void Handle(in PrimaryEvent item, long now)
    {
        if (item.Source is CaptureRun && item.Source != _run)
        {
            item.Message?.Release(); // of a run that was stopped
            return;
        }

        switch (item.Kind)
        {
            case PrimaryEventKind.Connected:
                Connect((PeerStream)item.Source!, now);
                break;
            case PrimaryEventKind.Refused:
                TellRefused(item.Text!);
                break;
            case PrimaryEventKind.Received:
                HandleReceived(item, now);
                break;
            case PrimaryEventKind.LinkLost:
                HandleLost(item, now);
                break;
            case PrimaryEventKind.DiskWrite:
                _core.OnDiskWrite((DiskWriteMessage)item.Message!, now);
                break;
            case PrimaryEventKind.Copied:
                _core.OnCopied(item.Message!, now);
                break;
            case PrimaryEventKind.CopyConverged:
                _core.OnCopyConverged(now);
                break;
            case PrimaryEventKind.CutTaken:
                _core.OnCutTaken(item.Epoch, now);
                break;
            case PrimaryEventKind.Captured:
                _core.OnCaptured(item.Message!, now);
                break;
            case PrimaryEventKind.CaptureDone:
                _core.OnCutMeasured(item.Cost);
                _core.OnCaptureDone(item.Epoch, [item.RamDigest], now);
                break;
            case PrimaryEventKind.GuestIdle:
                _core.OnGuestIdle(item.Epoch, now);
                break;
            case PrimaryEventKind.OutputHeld:
                _core.OnOutputWaiting(item.Epoch, now);
                break;
            case PrimaryEventKind.Settled:
                _core.OnSettled(item.Epoch);
                break;
            case PrimaryEventKind.Failure:
                _core.OnFailure(item.Text!, now);
                break;
            case PrimaryEventKind.Witness:
                _core.OnWitnessAnswer(item.Answer, now);
                break;
            case PrimaryEventKind.Scrub:
                if (_core.StartScrub((long)item.Epoch) is { } refusal)
                {
                    _setup.Events.OnState(refusal);
                }

                break;
            case PrimaryEventKind.ScrubRead:
                _core.OnScrubRead((ScrubMessage)item.Message!, now);
                break;
            case PrimaryEventKind.ScrubSent:
                _core.OnScrubSent();
                break;
            case PrimaryEventKind.PlanEnd:
                _core.PlanEnd(item.Text!, now);
                break;
            case PrimaryEventKind.SwitchOver:
                _core.SwitchOver();
                break;
            case PrimaryEventKind.Quit:
                break;
        }
    }

    private void Connect(PeerStream peer, long now)
    {
        var link = new TcpLink(0, peer, _setup.Options.ProgressNanos, _setup.Clock, this)
        {
            OnEndTaken = _meter.Epochs.OnEndTaken,
            Tally = _meter.Link,
        };
        Volatile.Write(ref _link, link); // pairs with BreakLink
        link.Start();
        foreach (SharedDisk disk in _setup.SharedDisks)
        {
            _ = disk.TryAcquire(); // one that waits has given it up
        }

        _core.OnConnected(_setup.NextIncarnation(), now);
    }

    private void HandleReceived(in PrimaryEvent item, long now)
    {
        if (item.Source == _link)
        {
            if (item.Message is EpochAckMessage ack)
            {
                _meter.Epochs.OnAck(ack, now);
            }

            _core.OnMessage(item.Message!, now);
        }
        else
        {
            item.Message!.Release();
        }

        ((TcpLink)item.Source!).Handled();
    }

    private void HandleLost(in PrimaryEvent item, long now)
    {
        if (item.Source == _link)
        {
            Volatile.Write(ref _link, null); // pairs with BreakLink
            _core.OnLinkLost(item.Text!, now);
        }
    }

    /// <summary>It tries twice a second: the same line is said once.</summary>
    private void TellRefused(string line)
    {
        if (line != _toldRefusal)
        {
            _toldRefusal = line;
            _setup.Events.OnState(line);
        }
    }

    /// <summary>Publishes the status, says what changed, and looks for a standby when there is none.</summary>
    private void Tell()
    {
        PrimaryStatus status = _core.Status(Now) with { BytesSent = _meter.Link.SentBytes };
        lock (_statusLock)
        {
            _status = status;
        }

        if (status.State is PrimaryState.Alone or PrimaryState.Waiting && _link is null)
        {
            _connector.Want();
        }

        if (_told == (status.State, status.Reason))
        {
            return;
        }

        _told = (status.State, status.Reason);
        _setup.Events.OnState(status.Reason.Length == 0 ? $"{status.State}" : $"{status.State}: {status.Reason}");
        bool isPlanned = status.State is PrimaryState.Ended or PrimaryState.HandedOver;
        if (!_isOver && (isPlanned || status.State is PrimaryState.Demoted or PrimaryState.Stopped))
        {
            _isOver = true;
            _setup.Events.OnEnded(isPlanned, status.Reason);
        }
    }
}
