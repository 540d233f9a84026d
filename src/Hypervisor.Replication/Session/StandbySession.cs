using System;
using System.Collections.Generic;
using System.IO;
using System.Net;
using System.Net.Sockets;
using System.Threading;
using Hypervisor.Core;
using Hypervisor.Core.State;
using Hypervisor.Replication.Disk;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Link;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Session;

/// <summary>
/// Runs a standby: listens, feeds its core from links, worker, witness and clock, and does what the core wants.
/// </summary>
public sealed partial class StandbySession : IStandbyActions, ILinkEvents, IDisposable
{
    private const int TickMillisMax = 100; // as at the primary
    private const int NanosPerMilli = 1_000_000;
    private const int Backlog = 8;
    private const int AcceptAgainMillis = 50;

    private readonly StandbySetup _setup;
    private readonly StandbyCore _core;
    private readonly Inbox<StandbyEvent> _inbox = new();
    private readonly List<IDisposable> _segments = [];
    private readonly StandbyWorker _worker;
    private readonly WitnessWorker _witness;
    private readonly Socket _listener;
    private readonly ManualResetEventSlim _closing = new();
    private readonly HandshakeGate _gate;
    private readonly Thread _acceptor;
    private readonly Thread _thread;
    private readonly Dictionary<int, TcpLink> _links = []; // by number; looked up only, its order reaches nothing
    private readonly Lock _statusLock = new(); // protects _status
    private readonly StandbyMeter _meter = new();
    private StandbyStatistics _status;
    private int _nextLink;
    private (StandbyState State, string Reason) _told;
    private long _lossNanos;
    private long _takeoverNanos;
    private string? _toldRefusal;
    private WitnessRecord? _won;
    private ReplicaPoint _wonAt;
    private bool _isOver;

    /// <summary>Replays the journal, and listens.</summary>
    /// <exception cref="IOException">Journal, disks or folder cannot be used.</exception>
    /// <exception cref="SocketException">The address cannot be listened on.</exception>
    public StandbySession(StandbySetup setup)
        : this(
            setup,
            (setup ?? throw new ArgumentNullException(nameof(setup))).Witness,
            name => new FileJournalStore(Path.Combine(setup.StateFolder, name)))
    {
    }

    internal StandbySession(StandbySetup setup, IWitness witness, Func<string, IJournalStore> openSegment)
    {
        _setup = setup;
        _core = new StandbyCore(setup.Options, this);
        _listener = new Socket(setup.Listen.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        _listener.Bind(setup.Listen);
        _listener.Listen(Backlog);
        _worker = new StandbyWorker(setup, _inbox, Open(openSegment, "journal.0"), Open(openSegment, "journal.1"));
        _worker.TellRestored(_core);

        _witness = new WitnessWorker(
            witness, answer => Post(new StandbyEvent(StandbyEventKind.Witness, Answer: answer)),
            setup.Events.OnState);
        _gate = new HandshakeGate(
            setup.Security,
            setup.HandshakeTimeMax,
            setup.Clock,
            peer => Post(new StandbyEvent(StandbyEventKind.Connected, peer)),
            line => Post(new StandbyEvent(StandbyEventKind.Refused, Text: line)));
        _thread = new Thread(Run) { Name = "standby", IsBackground = true };
        _acceptor = new Thread(Accept) { Name = "acceptor", IsBackground = true };
        _thread.Start();
        _acceptor.Start();
    }

    /// <summary>Where it listens; the port is the real one when 0 was asked for.</summary>
    public IPEndPoint Address => (IPEndPoint)_listener.LocalEndPoint!;

    /// <summary>The machine, once a primary announced one; runs once the session is live.</summary>
    public IProtectedMachine? Machine => _worker.Machine;

    /// <summary>Numbers for the status line, some milliseconds old.</summary>
    public StandbyStatistics Statistics
    {
        get
        {
            lock (_statusLock)
            {
                return _status with { Phases = [_meter.Stage, _meter.Journal, _meter.Apply] };
            }
        }
    }

    /// <summary>Callers that did not prove who they are, so far.</summary>
    internal int HandshakesRefused => _gate.Refused;

    /// <summary>Takes over now, if there is something to take over; the witness still has the last word.</summary>
    public void TakeOver() => Post(new StandbyEvent(StandbyEventKind.TakeOver));

    /// <summary>
    /// Once the guest runs here: protects it, in the same generation. This session stays, to refuse who was the primary
    /// before (rule 28).
    /// </summary>
    /// <param name="setup">
    /// The new primary's: the machine is the one that runs, <see cref="PrimaryOptions.Node"/> is this side's.
    /// </param>
    public PrimarySession Succeed(PrimarySetup setup)
    {
        WitnessRecord? won = Volatile.Read(ref _won); // pairs with GoLive
        Check.That(won is not null && Machine == setup.Machine && setup.Options.Node == _setup.Options.Node);
        return new PrimarySession(setup, setup.Witness, won, _wonAt);
    }

    /// <summary>Ends everything at once, without a word to the other side; a live guest keeps running.</summary>
    public void Dispose()
    {
        _closing.Set();
        _listener.Dispose();
        _acceptor.Join();
        _gate.Dispose();
        Post(new StandbyEvent(StandbyEventKind.Quit));
        _thread.Join();
        foreach (TcpLink link in _links.Values)
        {
            link.Dispose();
        }

        _worker.Dispose();
        _witness.Dispose();
        _segments.ForEach(segment => segment.Dispose());
        _inbox.Dispose();
        _closing.Dispose();
    }

    void ILinkEvents.OnReceived(TcpLink link, Message message)
        => Post(new StandbyEvent(StandbyEventKind.Received, link, message));

    void ILinkEvents.OnLost(TcpLink link, LinkLoss loss, string reason)
        => Post(new StandbyEvent(StandbyEventKind.LinkLost, link, Text: reason, Loss: loss));

    private IJournalStore Open(Func<string, IJournalStore> open, string name)
    {
        IJournalStore store = open(name);
        if (store is IDisposable owned)
        {
            _segments.Add(owned);
        }

        return store;
    }

    private void Post(in StandbyEvent item) => _inbox.Post(item);

    private void Accept()
    {
        while (true)
        {
            try
            {
                _gate.Enter(_listener.Accept());
            }
            catch (SocketException) when (!_closing.IsSet)
            {
                // It left again, or there is no descriptor for it now: the next one may be luckier (rule 31).
                _closing.Wait(AcceptAgainMillis);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                return; // disposed
            }
        }
    }

    private long Now => _setup.Clock.NowNanos;

    private void Run()
    {
        while (true)
        {
            Tell();
            long wait = (_core.NextDeadlineNanos - Now + NanosPerMilli - 1) / NanosPerMilli;
            if (_inbox.TryTake((int)Math.Clamp(wait, 0, TickMillisMax), out StandbyEvent item))
            {
                if (item.Kind == StandbyEventKind.Quit)
                {
                    return;
                }

                Handle(item, Now);
            }

            _core.OnTick(Now);
        }
    }

    private void Handle(in StandbyEvent item, long now)
    {
        switch (item.Kind)
        {
            case StandbyEventKind.Connected:
                Connect((PeerStream)item.Source!, now);
                break;
            case StandbyEventKind.Refused:
                TellRefused(item.Text!);
                break;
            case StandbyEventKind.Received:
                HandleReceived((TcpLink)item.Source!, item.Message!, now);
                break;
            case StandbyEventKind.LinkLost:
                HandleLost((TcpLink)item.Source!, item.Loss, item.Text!, now);
                break;
            case StandbyEventKind.FullCopyReady:
                _core.OnFullCopyReady(item.Text, now);
                break;
            case StandbyEventKind.Compared:
                _core.OnCompared(item.Range, item.IsSame, now);
                break;
            case StandbyEventKind.FullCopyFinished:
                _core.OnFullCopyFinished(item.Text, now);
                break;
            case StandbyEventKind.EpochCommitted:
                _core.OnEpochCommitted(item.Epoch, item.Text, now);
                break;
            case StandbyEventKind.EpochApplied:
                _core.OnEpochApplied(item.Epoch, item.Text, now);
                break;
            case StandbyEventKind.DisksFlushed:
                _core.OnDisksFlushed(item.Text, now);
                break;
            case StandbyEventKind.GenerationWritten:
                _core.OnGenerationWritten(item.Text, now);
                break;
            case StandbyEventKind.Failure:
                _core.OnFailure(item.Text!, now);
                break;
            case StandbyEventKind.Witness:
                _core.OnWitnessAnswer(item.Answer, now);
                break;
            case StandbyEventKind.WentLive:
                HandleLive(item.Text, now);
                break;
            case StandbyEventKind.TakeOver:
                _ = _core.TakeOver(now);
                break;
            case StandbyEventKind.CopyGuest:
                BeginCopy((GuestCopy)item.Source!);
                break;
            case StandbyEventKind.GuestCopied:
                _core.OnStateReturned();
                break;
            case StandbyEventKind.Quit:
                break;
        }
    }

    private void Connect(PeerStream peer, long now)
    {
        int number = _nextLink++;
        var link = new TcpLink(number, peer, _setup.Options.ProgressNanos, _setup.Clock, this);
        _links.Add(number, link);
        link.Start();
        _core.OnConnected(number, now);
    }

    private void HandleReceived(TcpLink link, Message message, long now)
    {
        if (_links.ContainsKey(link.Id))
        {
            _core.OnMessage(link.Id, message, now);
        }
        else
        {
            message.Release();
        }

        link.Handled();
    }

    private void HandleLost(TcpLink link, LinkLoss loss, string reason, long now)
    {
        if (_links.Remove(link.Id))
        {
            _setup.Events.OnState($"link {link.Id} lost: {reason}");
            _core.OnLinkLost(link.Id, loss, reason, now);
        }
    }

    private void HandleLive(string? error, long now)
    {
        // The state loaded before, at the full copy; it is ours that it does not now. Another try would be a guess.
        if (error is not null)
        {
            _setup.Events.OnState($"cannot go live: {error}");
        }

        Check.That(error is null);
        _takeoverNanos = now - _lossNanos;
        _setup.Events.OnGuestRunning(_core.Status().Generation);
    }

    private void Tell()
    {
        StandbyStatus status = _core.Status();
        lock (_statusLock)
        {
            _status = new StandbyStatistics(status, _takeoverNanos);
        }

        if (_told == (status.State, status.Reason))
        {
            return;
        }

        if (status.State == StandbyState.TakingOver && _told.State != StandbyState.TakingOver)
        {
            _lossNanos = Now;
        }

        EndCopyUnlessProtecting(status.State);
        _told = (status.State, status.Reason);
        _setup.Events.OnState(status.Reason.Length == 0 ? $"{status.State}" : $"{status.State}: {status.Reason}");
        if (!_isOver && status.State is StandbyState.Ended or StandbyState.Failed)
        {
            _isOver = true;
            _setup.Events.OnEnded(status.State == StandbyState.Ended, status.Reason);
        }
    }
}
