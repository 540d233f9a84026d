using System;
using Hypervisor.Core;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Epochs;

/// <summary>
/// Who may run: the claim at the start, loss of the standby, the planned end, demotion; and the clock.
/// </summary>
internal sealed partial class PrimaryCore
{
    private readonly WitnessDialog _dialog;

    private WitnessRecord? _record;   // as last seen at the witness
    private ulong _generation;
    private string? _endReason;       // not null once a planned end is asked for
    private bool _wasWaiting;         // paired out of Waiting: the guest stands still
    private bool _isCopyDoneSent;
    private bool _isFinalDue;         // Ending: the last epoch is still to be committed
    private bool _isLastCutRequested;
    private bool _mayBeInSync;        // a swap to "in sync" was sent; its answer, or a later swap, has not come
    private bool _isLastCommitted;    // the standby has all that the guest ever did
    private bool _isEndSent;

    /// <summary>When <see cref="OnTick"/> is needed at the latest.</summary>
    public long NextDeadlineNanos
    {
        get
        {
            long next = _dialog.DueNanos;
            if (!_isLinkUp)
            {
                return next;
            }

            next = Math.Min(next, _heartbeatNanos);
            next = Math.Min(next, SilenceDeadlineNanos);
            if (State == PrimaryState.Protected)
            {
                next = CanCut ? Math.Min(next, Due.DueNanos) : next;
            }

            return next;
        }
    }

    private long SilenceDeadlineNanos => State switch
    {
        PrimaryState.Pairing or PrimaryState.Deciding => _lastHeardNanos + _options.ProgressNanos,
        PrimaryState.Ending or PrimaryState.SwitchingOver when _isFinalDue => ProtectedDeadlineNanos,
        PrimaryState.SwitchingOver => _goNanos + _options.ProgressNanos,
        PrimaryState.Ending => Math.Min(_lastHeardNanos + _options.ProgressNanos, _progressNanos + _options.SyncNanos),
        PrimaryState.Copying => CopyDeadlineNanos,
        PrimaryState.Syncing => Math.Min(_lastHeardNanos + _options.ProgressNanos, _progressNanos + SyncLimitNanos),
        PrimaryState.Protected => ProtectedDeadlineNanos,
        PrimaryState.Starting or PrimaryState.Alone or PrimaryState.Waiting => long.MaxValue,
        PrimaryState.Ended or PrimaryState.HandedOver => long.MaxValue,
        PrimaryState.Demoted or PrimaryState.Stopped => long.MaxValue,
    };

    // A word of the standby may wait behind all that it is still to write: while the link takes what is copied, it is
    // no silence. And while it answers, the copy may find nothing to send for a while.
    private long CopyDeadlineNanos => Math.Min(
        Math.Max(_lastHeardNanos, _progressNanos) + _options.ProgressNanos, _progressNanos + _options.SyncNanos);

    // The cut and its capture are the primary's own work; comparing and flushing a whole disk is the standby's.
    private long SyncLimitNanos => _isCopyDoneSent ? _options.SyncNanos : _options.ProgressNanos;

    private long ProtectedDeadlineNanos
    {
        get
        {
            long oldest = _lastHeardNanos;
            oldest = _epochs.InFlight > 0 ? Math.Min(oldest, _epochs.OldestCutNanos) : oldest;
            oldest = _epochs.IsCutRequested || _epochs.IsCapturing ? Math.Min(oldest, _progressNanos) : oldest;
            return oldest + _options.ProgressNanos;
        }
    }

    /// <summary>
    /// A process before was the primary of a life of the pair, and knows what it changed since an epoch of that. Before
    /// the first call.
    /// </summary>
    public void Restore(ReplicaPoint point) => _history.Restore(point);

    /// <summary>Asks the witness whether this side may run. The first call, but for what is restored.</summary>
    public void Start(long nowNanos)
    {
        Enter(PrimaryState.Starting, "", nowNanos);
        Ask(null, null, nowNanos);
    }

    /// <summary>This side took the guest over, which runs already: it looks for a standby of its own.</summary>
    /// <param name="record">What made it the runner.</param>
    /// <param name="point">Where it took over: what it changed on the disks since has the first stamp.</param>
    /// <param name="nowNanos">Monotonic time.</param>
    public void Succeed(WitnessRecord record, ReplicaPoint point, long nowNanos)
    {
        Check.That(State == PrimaryState.Starting && record.Runner == _options.Node);
        _history.TookOver(point);
        _record = record;
        _generation = record.Generation;
        Enter(PrimaryState.Alone, "no standby yet", nowNanos);
    }

    /// <summary>Time has passed.</summary>
    public void OnTick(long nowNanos)
    {
        if (_dialog.IsDue(nowNanos))
        {
            if (_dialog.IsAsking)
            {
                _dialog.Cancel();
                OnWitnessUnreachable(nowNanos);
            }
            else
            {
                WitnessRequest request = _dialog.AskAgain(nowNanos);
                _actions.AskWitness(request);
            }
        }

        if (!_isLinkUp)
        {
            return;
        }

        if (nowNanos >= SilenceDeadlineNanos)
        {
            OnNoProgress(nowNanos);
            return;
        }

        if (nowNanos >= _heartbeatNanos)
        {
            SendHeartbeat(nowNanos);
        }

        TryCut(nowNanos);
    }

    /// <summary>The witness answered.</summary>
    public void OnWitnessAnswer(in WitnessAnswer answer, long nowNanos)
    {
        if (!_dialog.TryAccept(answer))
        {
            return;
        }

        if (answer.Outcome == WitnessOutcome.Unreachable)
        {
            OnWitnessUnreachable(nowNanos);
        }
        else if (_dialog.Desired is null)
        {
            OnRecordRead(answer.Current, nowNanos);
        }
        else if (_dialog.HasWon(answer))
        {
            _record = _dialog.Desired;
            _mayBeInSync = false; // a swap that is still on its way finds another record now
            _generation = _record.Generation;
            OnSwapped(nowNanos);
        }
        else if (answer.Current is { } current && current.Runner == _options.Node
            && current.Phase == WitnessPhase.Running)
        {
            // An earlier swap of ours came through late (in sync, while we ask for outdated): ask again from there.
            _record = current;
            _generation = current.Generation;
            AskFor(nowNanos);
        }
        else
        {
            Demote(answer.Current, nowNanos);
        }
    }

    /// <summary>
    /// Capture, tagging or the outbox failed: protection ends; the guest goes on if the witness agrees.
    /// </summary>
    public void OnFailure(string reason, long nowNanos)
    {
        if (IsReplicating)
        {
            EndProtection(reason, isLinkKept: true, nowNanos);
        }
    }

    /// <summary>The guest shut down or is stopped on purpose; it no longer runs. Never a takeover (rule 30).</summary>
    public void PlanEnd(string reason, long nowNanos)
    {
        _endReason ??= WireWriter.Fit(reason);
        TryEnd(nowNanos);
    }

    private void SendHeartbeat(long nowNanos)
    {
        _heartbeatNanos = nowNanos + _options.HeartbeatNanos;
        if (State is not PrimaryState.Pairing)
        {
            _lastSentNanos = nowNanos;
            Send(new HeartbeatMessage
            {
                SentNanos = nowNanos,
                ReleasedEpoch = ReleasedEpoch,
                SettledEpoch = _settledEpoch,
            });
        }
    }

    private void OnNoProgress(long nowNanos)
    {
        if (State == PrimaryState.Deciding)
        {
            CloseLink($"no word from the standby for {nowNanos - _lastHeardNanos} ns");
        }
        else
        {
            // Of the two limits the one that passed says what it is counted from.
            bool isSyncOver = nowNanos >= _progressNanos + _options.SyncNanos;
            long sinceNanos = isSyncOver ? _progressNanos : SilenceDeadlineNanos - _options.ProgressNanos;
            LoseStandby($"no progress for {nowNanos - sinceNanos} ns while {State}", nowNanos);
        }
    }

    private void LoseStandby(string reason, long nowNanos) => EndProtection(reason, isLinkKept: false, nowNanos);

    /// <summary>The pair is no more: back to running alone, at once or after the witness agreed (rule 29).</summary>
    private void EndProtection(string reason, bool isLinkKept, long nowNanos)
    {
        GiveUpScrub(reason);
        if (!isLinkKept)
        {
            CloseLink(reason);
        }

        NoteSwitchFailure(reason);
        switch (State)
        {
            case PrimaryState.Pairing:
                _dialog.Cancel();
                Enter(_wasWaiting ? PrimaryState.Waiting : PrimaryState.Alone, reason, nowNanos);
                PollWhileWaiting(nowNanos);
                TryEnd(nowNanos);
                break;
            case PrimaryState.Copying:
            case PrimaryState.Syncing:
            case PrimaryState.Protected:
            case PrimaryState.SwitchingOver:
            case PrimaryState.Ending when _isFinalDue:
                _actions.StopCapture();
                _history.Close(_epochs.EndedEpoch, _epochs.OpenEpoch);
                _lease.Void();
                _isFinalDue = false;
                Decide(reason, nowNanos);
                break;
            case PrimaryState.Ending when _isEndSent:
                FinishEnd(nowNanos);
                break;
            default:
                break; // the link was of no use any more
        }
    }

    private void Decide(string reason, long nowNanos)
    {
        if (!_record!.IsStandbyInSync && !_mayBeInSync)
        {
            GoAlone(reason, nowNanos);
            return;
        }

        HoldGuest(true);
        if (_options.OnStandbyLost == StandbyLossPolicy.Stop && _endReason is null)
        {
            Stop(reason, nowNanos);
        }
        else if (_options.OnStandbyLost == StandbyLossPolicy.Wait && _endReason is null)
        {
            _dialog.Cancel();
            Enter(PrimaryState.Waiting, reason, nowNanos);
            PollWhileWaiting(nowNanos);
        }
        else
        {
            Enter(PrimaryState.Deciding, reason, nowNanos);
            MarkOutdated(nowNanos);
        }
    }

    private void PollWhileWaiting(long nowNanos)
    {
        if (State == PrimaryState.Waiting)
        {
            Ask(null, null, nowNanos);
        }
    }

    private void GoAlone(string reason, long nowNanos)
    {
        if (_isLinkUp)
        {
            Send(new AbortMessage { Reason = WireWriter.Fit(reason) });
            CloseLink(reason);
        }

        _dialog.Cancel();
        _outputEpoch = _idleEpoch = 0;
        _goneTo = null;
        Enter(PrimaryState.Alone, reason, nowNanos);
        _actions.PassOutput();
        HoldGuest(false);
        TryEnd(nowNanos);
    }

    private void TryEnd(long nowNanos)
    {
        switch (State)
        {
            case PrimaryState.Alone when _endReason is not null:
            case PrimaryState.Waiting when _endReason is not null:
                Enter(PrimaryState.Ending, _endReason, nowNanos);
                MarkEnded(nowNanos);
                break;
            case PrimaryState.Pairing when _endReason is not null:
            case PrimaryState.Copying when _endReason is not null:
                EndProtection(_endReason, isLinkKept: State == PrimaryState.Copying, nowNanos);
                break;
            case PrimaryState.Protected when _endReason is not null:
            case PrimaryState.SwitchingOver when _endReason is not null && _goneTo is null:
                NoteSwitchFailure(_endReason);
                Enter(PrimaryState.Ending, _endReason, nowNanos);
                _isFinalDue = true;
                _isLastCutRequested = false;
                TryCut(nowNanos);
                break;
            default:
                break; // Syncing, Deciding, and after Go: once it is settled; the rest has ended already
        }
    }

    /// <summary>
    /// The last epoch is committed and its output out: tell the witness, so that nobody ever takes over; or the
    /// standby, so that it does.
    /// </summary>
    private void TryFinishLastEpoch(long nowNanos)
    {
        bool isOut = !_epochs.IsCutRequested && !_epochs.IsCapturing && _epochs.InFlight == 0
            && ReleasedEpoch == _epochs.EndedEpoch;
        if (!IsMakingLastEpoch || !_isLastCutRequested || !isOut)
        {
            return;
        }

        _isFinalDue = false;
        if (State == PrimaryState.SwitchingOver)
        {
            SendGo(nowNanos);
        }
        else
        {
            _isLastCommitted = true;
            MarkEnded(nowNanos);
        }
    }

    private void FinishEnd(long nowNanos)
    {
        GiveUpScrub(_endReason!);
        Enter(PrimaryState.Ended, _endReason!, nowNanos);
        CloseLink(_endReason!);
    }

    private void Stop(string reason, long nowNanos) => Halt(PrimaryState.Stopped, reason, nowNanos);

    private void Halt(PrimaryState state, string reason, long nowNanos)
    {
        GiveUpScrub(reason);
        _dialog.Cancel();
        _lease.Void();
        _isFinalDue = false;
        Enter(state, reason, nowNanos);
        _actions.DropOutput();
        _actions.StopGuest(reason);
        CloseLink(reason);
    }

    private void CloseLink(string reason)
    {
        if (_isLinkUp)
        {
            _isLinkUp = false;
            _actions.CloseLink(reason);
        }
    }
}
