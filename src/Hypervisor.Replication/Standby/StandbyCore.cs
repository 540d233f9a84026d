using System.Collections.Generic;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Standby;

/// <summary>
/// The standby's side of the protocol: whom to let in, what to commit and when to say so, when to take over.
/// </summary>
/// <remarks>
/// Pure, like <see cref="PrimaryCore"/>. This part holds links, full copy and epochs; the other one the takeover.
/// Output of committed epochs is kept until the primary says that it is out, so that a takeover can repeat the rest.
/// </remarks>
internal sealed partial class StandbyCore
{
    private const int NoLink = -1;
    private const int StrangersMax = 8;     // links that have not said Hello yet
    private const int KeptOutputsMax = 1 << 16; // bounds the bookkeeping; their bytes are bounded like staged ones

    private readonly StandbyOptions _options;
    private readonly IStandbyActions _actions;
    private readonly EpochStage _stage;
    private readonly Queue<OutputMessage> _outputs = new();
    private readonly Queue<DiskWriteMessage> _sharedWrites = new(); // like outputs: the primary does them at release
    private readonly List<Stranger> _strangers = [];

    private int _link = NoLink;
    private HelloMessage? _hello;
    private StagedEpoch? _base;        // sections of epoch 0 while the full copy is on its way
    private CopyDigest _copy;
    private ulong _generation;         // the highest that this side has seen
    private ReplicaPoint _point;       // where its disks stood before the copy that is on its way, or was cut off
    private bool _hasRam;              // RAM stood there as well
    private IReadOnlyList<DiskRange>? _doubtful; // it was the primary until there, and changed this since; or null
    private bool _isWhole;             // the copy was finished: it stands where the stage does
    private ulong _ackedEpoch;
    private long _echoNanos;           // latest "sent at" of the primary
    private long _nowNanos;            // of the event that is being handled
    private long _heardNanos;
    private long _tickNanos;
    private long _bytesReceived;
    private long _outputBytes;         // of _outputs
    private int _rimWork;              // actions whose outcome the rim still owes

    /// <summary>A standby with checked settings.</summary>
    public StandbyCore(StandbyOptions options, IStandbyActions actions)
    {
        _options = options;
        _actions = actions;
        _stage = new EpochStage(options);
        _dialog = new WitnessDialog(options.WitnessRetryNanos, options.ProgressNanos);
    }

    private readonly record struct Stranger(int Link, long DeadlineNanos);

    /// <summary>Where it stands.</summary>
    public StandbyState State { get; private set; } = StandbyState.Idle;

    /// <summary>Life of the pair that it takes part in.</summary>
    public ulong Incarnation { get; private set; }

    /// <summary>Why it is in this state.</summary>
    public string Reason { get; private set; } = "";

    /// <summary>A frame from a link.</summary>
    public void OnMessage(int link, Message message, long nowNanos)
    {
        _nowNanos = nowNanos;
        if (link != _link)
        {
            OnStranger(link, message);
            return;
        }

        if (_isSwitchingOver)
        {
            message.Release(); // after Go only the witness decides
            return;
        }

        _heardNanos = _nowNanos;
        _bytesReceived += message.PayloadBytes;
        if (message.Incarnation != Incarnation)
        {
            Reject(message, $"{message.Kind} of incarnation {message.Incarnation:X}, must be {Incarnation:X}");
            return;
        }

        switch (message.Kind)
        {
            case MessageKind.RamBlock or MessageKind.Section or MessageKind.DiskWrite or MessageKind.DiskBlock:
            case MessageKind.Output or MessageKind.DiskDigest or MessageKind.Scrub:
                OnData(message);
                break;
            case MessageKind.EpochEnd when State == StandbyState.Protecting:
                OnEpochEnd((EpochEndMessage)message);
                break;
            case MessageKind.FullCopyDone when State == StandbyState.Copying:
                OnFullCopyDone((FullCopyDoneMessage)message);
                break;
            case MessageKind.Heartbeat when State is not StandbyState.Preparing:
                OnHeartbeat((HeartbeatMessage)message);
                break;
            case MessageKind.PlannedEnd when State == StandbyState.Protecting:
                OnPlannedEnd((PlannedEndMessage)message);
                break;
            case MessageKind.SwitchOver:
                OnSwitchOver((SwitchOverMessage)message);
                break;
            case MessageKind.Abort:
                BecomeIdle($"the primary ended protection: {((AbortMessage)message).Reason}");
                break;
            default:
                Reject(message, $"{message.Kind} while {State}");
                break;
        }
    }

    /// <summary>A link is gone.</summary>
    public void OnLinkLost(int link, LinkLoss loss, string reason, long nowNanos)
    {
        _nowNanos = nowNanos;
        if (link != _link)
        {
            ForgetStranger(link);
            return;
        }

        _link = NoLink;
        switch (State)
        {
            case StandbyState.Preparing or StandbyState.Copying or StandbyState.Finishing:
                BecomeIdle(reason);
                break;
            case StandbyState.Protecting when loss == LinkLoss.ClosedByPeer:
                BeginTakeover(reason);
                break;
            case StandbyState.Protecting:
                Reason = reason; // the lease may still run: wait for the timeout (rule 26)
                break;
            default:
                break;
        }
    }

    /// <summary>The journal has an epoch, as durable as asked, or failed.</summary>
    public void OnEpochCommitted(ulong epoch, string? error, long nowNanos)
    {
        _nowNanos = nowNanos;
        _rimWork--;
        if (!IsApplying)
        {
            return; // given up meanwhile
        }

        if (error is not null && State == StandbyState.TakingOver)
        {
            _stage.DropCommitting(); // never acknowledged: the guest goes on from the epoch before
        }
        else if (error is not null)
        {
            Fail($"commit of epoch {epoch}: {error}");
            return;
        }
        else
        {
            StagedEpoch committed = _stage.Commit(epoch);
            _outputBytes += committed.MoveOutputsTo(_outputs) + committed.MoveSharedTo(_sharedWrites);
        }

        if (_outputs.Count + _sharedWrites.Count > KeptOutputsMax || _outputBytes > _options.StagedBytesMax)
        {
            Fail($"{_outputBytes} bytes of output in {_outputs.Count + _sharedWrites.Count} messages are not released, "
                + $"at most {_options.StagedBytesMax} in {KeptOutputsMax} are kept");
            return;
        }

        Advance();
    }

    /// <summary>RAM and disks have an epoch, or failed.</summary>
    public void OnEpochApplied(ulong epoch, string? error, long nowNanos)
    {
        _nowNanos = nowNanos;
        _rimWork--;
        if (!IsApplying)
        {
            return;
        }

        if (error is not null)
        {
            Fail($"apply of epoch {epoch}: {error}");
            return;
        }

        _stage.Apply(epoch);
        Advance();
    }

    private bool IsApplying => State is StandbyState.Protecting or StandbyState.TakingOver or StandbyState.Ending;

    /// <summary>
    /// Committed, and not too much is waiting to be applied: an acknowledgement lets the primary send more.
    /// </summary>
    private bool CanAcknowledge
        => _link != NoLink && State == StandbyState.Protecting && _ackedEpoch < _stage.CommittedEpoch
            && (_ackedEpoch <= _stage.AppliedEpoch
                || (_ackedEpoch < _stage.AppliedEpoch + (ulong)_options.UnappliedEpochsMax
                    && _stage.CommittedBytes <= _options.StagedBytesMax / 4));

    private void OnData(Message message)
    {
        if (message.Epoch == 0 && message.Kind != MessageKind.Scrub && State == StandbyState.Copying)
        {
            if (_stage.FindRangeError(message) is { } rangeError)
            {
                Reject(message, rangeError);
                return;
            }

            _copy.Add(message);
            if (message.Kind is MessageKind.Section)
            {
                _base!.Add(message);
            }
            else if (message.Kind is MessageKind.Output)
            {
                message.Release(); // before cut 0 nothing is held: it is out already
            }
            else
            {
                _actions.ApplyCopied(message);
            }

            return;
        }

        bool isStaging = State is StandbyState.Copying or StandbyState.Finishing or StandbyState.Protecting;
        if (!isStaging || message.Kind is MessageKind.DiskBlock or MessageKind.DiskDigest)
        {
            Reject(message, $"{message.Kind} of epoch {message.Epoch} while {State}");
        }
        else if (_stage.Park(message, _nowNanos) is { } error)
        {
            Reject(message, error);
        }
    }

    private void OnHeartbeat(HeartbeatMessage heartbeat)
    {
        Note(heartbeat.SentNanos, heartbeat.ReleasedEpoch, heartbeat.SettledEpoch);
        Send(new HeartbeatReplyMessage
        {
            EchoNanos = _echoNanos,
            CommittedEpoch = _stage.CommittedEpoch,
            AppliedEpoch = _stage.AppliedEpoch,
        });
    }

    private void OnEpochEnd(EpochEndMessage end)
    {
        Note(end.SentNanos, end.ReleasedEpoch, end.SettledEpoch);
        if (_stage.End(end) is { } error)
        {
            Reject(end, error);
            return;
        }

        Advance();
    }

    /// <summary>
    /// The primary's clock at sending, what it has let out, and what is durable on shared disks: up to there nothing
    /// need be repeated.
    /// </summary>
    private void Note(long sentNanos, ulong releasedEpoch, ulong settledEpoch)
    {
        _echoNanos = sentNanos;
        while (_outputs.TryPeek(out OutputMessage? output) && output.Epoch <= releasedEpoch)
        {
            _outputBytes -= output.Bulk.Length;
            _outputs.Dequeue().Release();
        }

        while (_sharedWrites.TryPeek(out DiskWriteMessage? write) && write.Epoch <= settledEpoch)
        {
            _outputBytes -= write.Bulk.Length;
            _sharedWrites.Dequeue().Release();
        }
    }

    /// <summary>Commits, acknowledges and applies as far as it goes.</summary>
    private void Advance()
    {
        if (State is StandbyState.Protecting or StandbyState.Ending && _stage.NextToCommit() is { } verified)
        {
            _rimWork++;
            _actions.CommitEpoch(verified, isDurable: _options.IsAckDurable && verified.HasFlush);
        }

        if (_stage.NextToApply() is { } committed)
        {
            _rimWork++;
            _actions.ApplyEpoch(committed);
        }

        while (CanAcknowledge)
        {
            _ackedEpoch++;
            Send(new EpochAckMessage
            {
                Epoch = _ackedEpoch,
                EchoNanos = _echoNanos,
                AppliedEpoch = _stage.AppliedEpoch,
                Times = _stage.TimesOf(_ackedEpoch),
            });
        }

        TryContinueTakeover();
    }

    private void Send(Message message)
    {
        if (_link != NoLink)
        {
            message.Incarnation = Incarnation;
            _actions.Send(_link, message);
        }
    }

    private void RepeatShared()
    {
        while (_sharedWrites.TryDequeue(out DiskWriteMessage? write))
        {
            _actions.WriteShared(write);
        }
    }

    private void ForgetOutputs()
    {
        _outputBytes = 0;
        while (_outputs.TryDequeue(out OutputMessage? output))
        {
            output.Release();
        }

        while (_sharedWrites.TryDequeue(out DiskWriteMessage? write))
        {
            write.Release();
        }
    }

    private void Enter(StandbyState state, string reason)
    {
        State = state;
        Reason = reason;
    }
}
