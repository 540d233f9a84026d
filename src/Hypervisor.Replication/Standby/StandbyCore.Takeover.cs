using System;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Standby;

/// <summary>The end of protection: takeover, planned end, failure; and the clock.</summary>
internal sealed partial class StandbyCore
{
    private readonly WitnessDialog _dialog;

    private WitnessRecord? _record;   // the one that names this side as a standby in sync
    private long _notBeforeNanos;     // takeover asked for by an operator: not before the lease is over
    private bool _isFlushing;
    private bool _isGenerationUnderway;   // WriteGeneration was asked for

    /// <summary>When <see cref="OnTick"/> is needed at the latest.</summary>
    public long NextDeadlineNanos
    {
        get
        {
            long next = Math.Min(_dialog.DueNanos, SilenceDeadlineNanos);
            foreach (Stranger stranger in _strangers)
            {
                next = Math.Min(next, stranger.DeadlineNanos);
            }

            return next;
        }
    }

    private long SilenceDeadlineNanos => State switch
    {
        StandbyState.Preparing => long.MaxValue, // the rim's own work, bounded by the disk
        StandbyState.Copying => _heardNanos + _options.ProgressNanos,
        StandbyState.Finishing => long.MaxValue,
        StandbyState.Protecting => _heardNanos + _options.TakeoverNanos,
        StandbyState.TakingOver => _nowNanos < _notBeforeNanos ? _notBeforeNanos : long.MaxValue,
        StandbyState.Idle or StandbyState.Deciding or StandbyState.Live => long.MaxValue,
        StandbyState.Ending or StandbyState.Ended or StandbyState.Failed => long.MaxValue,
    };

    /// <summary>Time has passed.</summary>
    public void OnTick(long nowNanos)
    {
        _nowNanos = nowNanos;
        // A tick that comes very late means that this side slept; the primary's words may be waiting behind it.
        if (_nowNanos - _tickNanos > _options.TakeoverNanos)
        {
            _heardNanos = Math.Max(_heardNanos, _nowNanos - (_options.TakeoverNanos / 2));
        }

        _tickNanos = _nowNanos;
        for (int i = _strangers.Count - 1; i >= 0; i--)
        {
            if (_nowNanos >= _strangers[i].DeadlineNanos)
            {
                _actions.CloseLink(_strangers[i].Link, $"no Hello for {_options.ProgressNanos} ns");
                _strangers.RemoveAt(i);
            }
        }

        if (_dialog.IsDue(_nowNanos))
        {
            OnWitnessDue();
        }

        TryContinueTakeover();
        if (_nowNanos < SilenceDeadlineNanos)
        {
            return;
        }

        if (State == StandbyState.Protecting)
        {
            BeginTakeover($"the primary is silent for {_options.TakeoverNanos} ns");
        }
        else if (State == StandbyState.Copying)
        {
            BecomeIdle($"the primary is silent for {_options.ProgressNanos} ns");
        }
    }

    /// <summary>
    /// An operator asks this side to take over; it waits for an apply that is on its way (rule 13). While there is a
    /// link, the primary is asked to hand over; it has the time that its silence may last.
    /// </summary>
    /// <returns>False when there is nothing to take over.</returns>
    public bool TakeOver(long nowNanos)
    {
        _nowNanos = nowNanos;
        if (State != StandbyState.Protecting)
        {
            return false;
        }

        _switchesAsked++;
        _switchError = "";
        if (_link != NoLink)
        {
            BeginSwitch();
            return true;
        }

        // Nobody told the primary to stop letting output out: its lease must run off first (rule 26).
        _notBeforeNanos = _heardNanos + _options.TakeoverNanos;
        BeginTakeover("asked for");
        return true;
    }

    /// <summary>Every disk is flushed, or not.</summary>
    public void OnDisksFlushed(string? error, long nowNanos)
    {
        _nowNanos = nowNanos;
        _rimWork--;
        if (!_isFlushing)
        {
            return;
        }

        _isFlushing = false;
        if (error is not null)
        {
            Fail($"flush: {error}");
        }
        else if (State == StandbyState.Ending)
        {
            Enter(StandbyState.Ended, Reason);
            Send(new PlannedEndAckMessage());
        }
        else
        {
            Enter(StandbyState.Deciding, Reason);
            if (_isSwitchingOver)
            {
                WriteGeneration(); // its record was read before the guest stopped
            }
            else
            {
                Ask(null, null);
            }
        }
    }

    /// <summary>The new generation is written beside the disks, or not.</summary>
    public void OnGenerationWritten(string? error, long nowNanos)
    {
        _nowNanos = nowNanos;
        _rimWork--;
        if (!_isGenerationUnderway)
        {
            return;
        }

        _isGenerationUnderway = false;
        if (error is not null)
        {
            Fail($"generation: {error}");
            return;
        }

        WitnessRecord promoted = _record! with
        {
            Revision = _record.Revision + 1,
            Generation = _record.Generation + 1,
            Runner = _options.Node,
            Standby = _record.Runner,
            IsStandbyInSync = false,
            OutdatedSince = _record.Generation,
        };
        Ask(_record, promoted);
    }

    /// <summary>The witness answered.</summary>
    public void OnWitnessAnswer(in WitnessAnswer answer, long nowNanos)
    {
        _nowNanos = nowNanos;
        if (!_dialog.TryAccept(answer))
        {
            return;
        }

        if (State == StandbyState.Protecting)
        {
            OnSwitchRecord(answer);
        }
        else if (answer.Outcome == WitnessOutcome.Unreachable)
        {
            OnWitnessUnreachable();
        }
        else if (_dialog.HasWon(answer))
        {
            GoLive(_dialog.Desired!);
        }
        else if (_dialog.Desired is null && MayPromote(answer.Current))
        {
            _record = answer.Current;
            WriteGeneration();
        }
        else
        {
            OnLost(answer.Current);
        }
    }

    /// <summary>Something of the rim's failed: a copied block, the journal between two epochs.</summary>
    public void OnFailure(string reason, long nowNanos)
    {
        _nowNanos = nowNanos;
        Fail(reason);
    }

    /// <summary>A snapshot for people.</summary>
    public StandbyStatus Status() => new(
        State,
        _generation,
        Incarnation,
        _stage.CommittedEpoch,
        _stage.AppliedEpoch,
        _stage.StagedBytes,
        _bytesReceived,
        _options.Taints | (_options.IsAckDurable ? PairTaints.None : PairTaints.AckFromMemory),
        Reason)
    {
        SwitchOver = new SwitchOverStatus(_switchesAsked, _isSwitchAsked, _switchError),
    };

    private bool MayPromote(WitnessRecord? record)
        => record is { IsStandbyInSync: true, Phase: WitnessPhase.Running }
            && record.Standby == _options.Node && record.Runner == _hello!.Node && record.Incarnation == Incarnation;

    private void WriteGeneration()
    {
        _isGenerationUnderway = true;
        _rimWork++;
        _actions.WriteGeneration(_record!.Generation + 1, _stage.AppliedEpoch);
    }

    private void BeginTakeover(string reason)
    {
        ForgetSwitch(reason);
        Enter(StandbyState.TakingOver, reason);
        CloseLink(reason);
        _stage.DropUncommitted();
        Advance();
    }

    /// <summary>Once every committed epoch is applied: flush (rule 21).</summary>
    private void TryContinueTakeover()
    {
        bool isDue = State == StandbyState.TakingOver
            || (State == StandbyState.Ending && _stage.CommittedEpoch == _stage.EndedEpoch);
        if (isDue && _stage.IsApplied && !_isFlushing && _nowNanos >= _notBeforeNanos)
        {
            _isFlushing = true;
            _rimWork++;
            _actions.FlushDisks();
        }
    }

    private void GoLive(WitnessRecord record)
    {
        _generation = record.Generation;
        Enter(StandbyState.Live, Reason);
        while (_outputs.TryDequeue(out OutputMessage? output))
        {
            _actions.EmitOutput(output);
        }

        RepeatShared();
        _isSwitchAsked = _isSwitchingOver = false;
        Send(new SwitchOverMessage { Step = SwitchOverStep.Done }); // there is a link after a switch-over only
        _actions.GoLive(_stage.Latest!, record);
        CloseLink("the guest runs here");
    }

    /// <summary>The witness does not let this side run: the primary went on alone, or ended.</summary>
    private void OnLost(WitnessRecord? current)
    {
        if (current is { Phase: WitnessPhase.Ended } && current.Incarnation == Incarnation)
        {
            const string Ended = "the guest ended on purpose";
            if (current.IsStandbyInSync)
            {
                Enter(StandbyState.Ended, Ended);
            }
            else
            {
                GiveUp(StandbyState.Ended, Ended + ", without this side: this copy is outdated");
            }

            return;
        }

        string text = current is null ? "has no record" : $"names {current.Runner} in generation {current.Generation}";
        BecomeIdle($"{Reason}; the witness {text}: this copy is outdated");
    }

    private void OnPlannedEnd(PlannedEndMessage end)
    {
        if (end.Epoch != _stage.EndedEpoch)
        {
            Reject(end, $"planned end after epoch {end.Epoch}, must be {_stage.EndedEpoch}");
            return;
        }

        ForgetSwitch(end.Reason);
        Enter(StandbyState.Ending, end.Reason);
        Advance();
    }

    private void OnWitnessDue()
    {
        if (_dialog.IsAsking)
        {
            _dialog.Cancel();
            OnWitnessUnreachable();
            return;
        }

        WitnessRequest request = _dialog.AskAgain(_nowNanos);
        _actions.AskWitness(request);
    }

    private void OnWitnessUnreachable()
    {
        if (State == StandbyState.Protecting)
        {
            RefuseSwitch("the witness does not answer the standby");
        }
        else if (_options.OnWitnessLost == WitnessPolicy.Stop && !_isSwitchingOver)
        {
            Fail($"{Reason}; the witness does not answer");
        }
        else
        {
            _dialog.RetryLater(_nowNanos); // never assume (rule 27); a swap to this side may be on its way
        }
    }

    private void Ask(WitnessRecord? expected, WitnessRecord? desired)
    {
        WitnessRequest request = _dialog.Ask(expected, desired, _nowNanos);
        _actions.AskWitness(request);
    }

    /// <summary>The primary breaks the protocol, or what it sent is not whole.</summary>
    private void Reject(Message message, string reason)
    {
        message.Release();
        if (State == StandbyState.Protecting)
        {
            Fail(reason);
            return;
        }

        Send(new AbortMessage { Reason = WireWriter.Fit(reason) });
        BecomeIdle(reason);
    }

    /// <summary>Out of protection, loudly: this side does not take over any more (rules 8, 22).</summary>
    private void Fail(string reason)
    {
        if (State is StandbyState.Live or StandbyState.Ended or StandbyState.Failed)
        {
            return;
        }

        Send(new AbortMessage { Reason = WireWriter.Fit(reason) });
        GiveUp(StandbyState.Failed, reason);
    }

    private void BecomeIdle(string reason) => GiveUp(StandbyState.Idle, reason);

    private void GiveUp(StandbyState state, string reason)
    {
        CloseLink(reason);
        ForgetSwitch(reason);
        _dialog.Cancel();
        _isFlushing = _isGenerationUnderway = false;
        _notBeforeNanos = 0;
        ForgetOutputs();
        Enter(state, reason);
        KeepPoint();
        _actions.Discard(reason, _doubtful is null ? _point : default);
    }

    private void CloseLink(string reason)
    {
        if (_link != NoLink)
        {
            int link = _link;
            _link = NoLink;
            _actions.CloseLink(link, reason);
        }
    }
}
