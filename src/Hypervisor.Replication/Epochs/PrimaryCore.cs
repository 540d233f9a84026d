using System.Collections.Generic;
using Hypervisor.Core;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Epochs;

/// <summary>The primary's side of the protocol: what to send, when to cut, what to let out, whether to go on.</summary>
/// <remarks>
/// Pure: everything it knows comes in through the On… methods, one at a time, with the time; everything it wants
/// goes out
/// through <see cref="IPrimaryActions"/>. This part holds pairing, copy and epochs; the other one who may run.
/// </remarks>
internal sealed partial class PrimaryCore
{
    private readonly PrimaryOptions _options;
    private readonly IPrimaryActions _actions;
    private readonly EpochPipeline _epochs = new();
    private readonly ResyncHistory _history = new();
    private readonly CutClock _cutClock;
    private readonly EpochPacer? _pacer; // instead of the clock

    private WelcomeMessage? _welcome;
    private readonly Queue<DiskRange> _compared = new(); // sent as digests, not answered yet

    private CopyDigest _copy;
    private Lease _lease;
    private bool _isLinkUp;
    private ulong _outputEpoch; // the newest epoch whose outbox is known to hold something; 0: none
    private long _outputNanos;  // since when it does
    private EpochCost _cost;    // of the cut whose data is about to end
    private bool _isGuestHeld;
    private long _lastSentNanos;   // of the last heartbeat or END: what an echo may say at most
    private long _heartbeatNanos;  // when the next heartbeat is due
    private long _lastHeardNanos;
    private long _progressNanos;   // when the current phase last got on

    /// <summary>A primary with checked settings.</summary>
    public PrimaryCore(PrimaryOptions options, IPrimaryActions actions)
    {
        Check.That(options.FindError() is null);
        _options = options;
        _actions = actions;
        _cutClock = new CutClock(options.EpochNanos, options.OutputEpochNanos);
        _pacer = options.Pace is null ? null : new EpochPacer(options.Pace, options.EpochNanos);
        _dialog = new WitnessDialog(options.WitnessRetryNanos, options.ProgressNanos);
    }

    /// <summary>Where it stands.</summary>
    public PrimaryState State { get; private set; } = PrimaryState.Starting;

    /// <summary>Life of the pair; the session drops what a capture of an earlier one still posts.</summary>
    public ulong Incarnation { get; private set; }

    /// <summary>Last epoch whose output was let out.</summary>
    public ulong ReleasedEpoch { get; private set; }

    /// <summary>Why it is in this state.</summary>
    public string Reason { get; private set; } = "";

    /// <summary>A frame from the standby.</summary>
    public void OnMessage(Message message, long nowNanos)
    {
        if (!_isLinkUp)
        {
            message.Release();
            return;
        }

        if (message.Incarnation != Incarnation)
        {
            LoseStandby($"{message.Kind} of incarnation {message.Incarnation:X}, must be {Incarnation:X}", nowNanos);
            return;
        }

        Heard(nowNanos);
        switch (message)
        {
            case WelcomeMessage welcome when State == PrimaryState.Pairing && _welcome is null:
                OnWelcome(welcome, nowNanos);
                break;
            case RefusalMessage refusal when State == PrimaryState.Pairing:
                LoseStandby($"standby refused: {refusal.Text}", nowNanos);
                break;
            case DiskAnswerMessage answer when State == PrimaryState.Copying:
                OnDiskAnswer(answer, nowNanos);
                break;
            case FullCopyAckMessage when State == PrimaryState.Syncing && _isCopyDoneSent && !_dialog.IsAsking:
                MarkInSync(nowNanos);
                break;
            case EpochAckMessage ack when IsCommitting:
                OnAck(ack, nowNanos);
                break;
            case SwitchOverMessage switchOver:
                OnSwitchOver(switchOver, nowNanos);
                break;
            case HeartbeatReplyMessage reply:
                OnEcho(reply.EchoNanos, nowNanos);
                OnApplied(reply.AppliedEpoch);
                break;
            case PlannedEndAckMessage when State == PrimaryState.Ending && _isEndSent:
                FinishEnd(nowNanos);
                break;
            case AbortMessage abort:
                LoseStandby($"standby gave up: {abort.Reason}", nowNanos);
                break;
            case EpochAckMessage when State == PrimaryState.Deciding:
                break; // protection has ended already; the witness has the word
            default:
                LoseStandby($"standby sent {message.Kind} to a primary that is {State}", nowNanos);
                break;
        }
    }

    /// <summary>The link is gone.</summary>
    public void OnLinkLost(string reason, long nowNanos)
    {
        if (_isLinkUp)
        {
            _isLinkUp = false;
            LoseStandby(reason, nowNanos);
        }
    }

    /// <summary>
    /// The guest changed a disk. Before cut 0 the write belongs to the copy, afterwards to the open epoch.
    /// </summary>
    public void OnDiskWrite(DiskWriteMessage message, long nowNanos)
    {
        if (!IsReplicating)
        {
            message.Release();
            return;
        }

        _epochs.AddDiskWrite(message);
        SendStaged(message);
        LimitUnacked(nowNanos);
    }

    /// <summary>A piece of the full copy.</summary>
    public void OnCopied(Message message, long nowNanos)
    {
        if (State != PrimaryState.Copying)
        {
            message.Release();
            return;
        }

        Check.That(message.Kind is MessageKind.RamBlock or MessageKind.DiskBlock or MessageKind.DiskDigest);
        if (message is DiskDigestMessage digest)
        {
            _compared.Enqueue(digest.Range);
        }

        _progressNanos = nowNanos;
        message.Epoch = 0;
        SendStaged(message);
    }

    private void OnDiskAnswer(DiskAnswerMessage answer, long nowNanos)
    {
        if (!_compared.TryDequeue(out DiskRange range) || range != answer.Range)
        {
            LoseStandby($"standby answers for {answer.Range}, must be {range}", nowNanos);
            return;
        }

        _progressNanos = nowNanos;
        _actions.ContinueCopy(range, answer.IsSame);
    }

    /// <summary>All disks are over, every digest is answered, and little enough of RAM for a cut is left.</summary>
    public void OnCopyConverged(long nowNanos)
    {
        if (State == PrimaryState.Copying)
        {
            Check.That(_compared.Count == 0);
            Enter(PrimaryState.Syncing, "", nowNanos);
            RequestCut();
        }
    }

    /// <summary>The machine was cut; posted behind the last disk write of the epoch.</summary>
    public void OnCutTaken(ulong epoch, long nowNanos)
    {
        if (IsReplicating)
        {
            _pacer?.OnCut(IsOutputWaiting, nowNanos);
            _epochs.TakeCut(epoch, nowNanos);
            _cutClock.OnCut(nowNanos);
            _cutNanos = nowNanos;
            _progressNanos = nowNanos;
        }
    }

    /// <summary>RAM, sections or output of the cut epoch; output also of the open one.</summary>
    public void OnCaptured(Message message, long nowNanos)
    {
        if (!IsReplicating)
        {
            message.Release();
            return;
        }

        _progressNanos = nowNanos;
        _epochs.AddCaptured(message);
        SendStaged(message);
        LimitUnacked(nowNanos);
    }

    /// <summary>Everything of the cut epoch was handed over.</summary>
    /// <param name="epoch">Which.</param>
    /// <param name="contentDigests">Of RAM at the cut; none where the rim keeps no digest.</param>
    /// <param name="nowNanos">Monotonic time.</param>
    public void OnCaptureDone(ulong epoch, ulong[] contentDigests, long nowNanos)
    {
        if (!IsReplicating)
        {
            return;
        }

        EpochTotals totals = _epochs.End(epoch);
        _progressNanos = nowNanos;
        if (epoch > 0)
        {
            _pacer?.OnCaptured(totals.PayloadBytes, _cost);
        }

        _cost = default;
        if (epoch == 0)
        {
            _isCopyDoneSent = true;
            Send(new FullCopyDoneMessage
            {
                Messages = _copy.Messages,
                CopiedBytes = _copy.Bytes,
                StreamDigest = _copy.Digest,
                ContentDigests = contentDigests,
            });
            return;
        }

        _lastSentNanos = nowNanos;
        Send(new EpochEndMessage
        {
            Epoch = epoch,
            Totals = totals,
            RamDigest = contentDigests is [var digest, ..] ? digest : null,
            SentNanos = nowNanos,
            ReleasedEpoch = ReleasedEpoch,
            SettledEpoch = _settledEpoch,
        });
        TryCut(nowNanos);
    }

    /// <summary>Whether data of epochs, epoch 0 included, is wanted from the rim.</summary>
    private bool IsReplicating
        => _isLinkUp && (State is PrimaryState.Copying or PrimaryState.Syncing or PrimaryState.Protected
            || IsMakingLastEpoch);

    /// <summary>Whether the guest is over, here or at all, and its last epoch is on its way.</summary>
    private bool IsMakingLastEpoch => _isFinalDue && State is PrimaryState.Ending or PrimaryState.SwitchingOver;

    private bool IsCommitting => State is PrimaryState.Protected or PrimaryState.Ending or PrimaryState.SwitchingOver;

    // A quarter for what is sent, a quarter for what the standby has acknowledged and not applied, half for a capture.
    private bool IsFull => _epochs.UnackedBytes > _welcome!.StagedBytesMax / 4;

    private void OnAck(EpochAckMessage ack, long nowNanos)
    {
        if (_epochs.Acknowledge(ack.Epoch) is { } error)
        {
            LoseStandby(error, nowNanos);
            return;
        }

        OnEcho(ack.EchoNanos, nowNanos);
        OnApplied(ack.AppliedEpoch);
        if (IsReplicating)
        {
            LimitUnacked(nowNanos);
            TryCut(nowNanos);
        }
    }

    private void OnEcho(long echoNanos, long nowNanos)
    {
        if (echoNanos > _lastSentNanos)
        {
            LoseStandby($"echo is {echoNanos} ns, last sent was {_lastSentNanos} ns", nowNanos);
            return;
        }

        _lease.Extend(echoNanos, _options.LeaseNanos);
        TryRelease(nowNanos);
    }

    private void SendStaged(Message message)
    {
        if (message.Epoch == 0)
        {
            _copy.Add(message);
        }

        Send(message);
    }

    private void Send(Message message)
    {
        message.Incarnation = Incarnation;
        _actions.Send(message);
    }

    private void Heard(long nowNanos) => _lastHeardNanos = nowNanos;

    private void Enter(PrimaryState state, string reason, long nowNanos)
    {
        State = state;
        Reason = reason;
        _progressNanos = nowNanos;
    }
}
