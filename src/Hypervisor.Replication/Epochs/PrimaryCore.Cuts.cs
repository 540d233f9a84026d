using System;

namespace Hypervisor.Replication.Epochs;

/// <summary>When to cut, when to slow the guest, when to let output out.</summary>
internal sealed partial class PrimaryCore
{
    private ulong _settledEpoch; // last one that is durable on the shared disks

    /// <summary>Until when output may leave, and released changes may reach shared disks (rule 26).</summary>
    public long LeaseEndNanos => _lease.UntilNanos;

    /// <summary>Everything up to an epoch is durable on the disks that both halves share.</summary>
    public void OnSettled(ulong epoch)
    {
        if (epoch <= ReleasedEpoch) // else it is of an earlier life
        {
            _settledEpoch = Math.Max(_settledEpoch, epoch);
        }
    }

    // Between two cuts for output of a guest that is idle: so many times shorter than of one that is busy.
    private const int IdleShare = 5;

    private ulong _idleEpoch; // the newest one whose output was followed by silence
    private long _cutNanos;   // of the last cut

    /// <summary>How often which reason led to a cut.</summary>
    public CutTally Cuts { get; } = new();

    /// <summary>What the cut cost whose data ends with the OnCaptureDone that follows.</summary>
    public void OnCutMeasured(in EpochCost cost) => _cost = cost;

    /// <summary>The outbox of an epoch holds something: the cut that ends it may come sooner.</summary>
    /// <param name="epoch">The epoch. Where it is not open yet, the word of its cut is on its way.</param>
    /// <param name="nowNanos">Now.</param>
    public void OnOutputWaiting(ulong epoch, long nowNanos)
    {
        if (!IsReplicating || epoch > _epochs.OpenEpoch + 1)
        {
            return; // of an earlier life of the pair
        }

        if (epoch > _outputEpoch)
        {
            (_outputEpoch, _outputNanos) = (epoch, nowNanos);
            _actions.TellIdle(epoch);
        }

        TryCut(nowNanos);
    }

    /// <summary>
    /// The guest has nothing more to do since it held output of this epoch: it waits for what the output brings, so a
    /// cut disturbs nobody and is worth most.
    /// </summary>
    public void OnGuestIdle(ulong epoch, long nowNanos)
    {
        if (IsReplicating && epoch <= _epochs.OpenEpoch + 1)
        {
            _idleEpoch = Math.Max(_idleEpoch, epoch);
            TryCut(nowNanos);
        }
    }

    private bool CanCut
        => !_epochs.IsCutRequested && !_epochs.IsCapturing && _epochs.InFlight < _options.EpochsInFlightMax
            && (!IsFull || _epochs.InFlight == 0);

    private bool IsOutputWaiting => _outputEpoch >= _epochs.OpenEpoch && _outputEpoch > 0;

    /// <summary>When the open epoch is long enough, and why then.</summary>
    private (long DueNanos, CutReason Reason) Due
    {
        get
        {
            (long DueNanos, CutReason Reason) due = UsualDue;
            long idleNanos = _cutNanos + (_options.OutputEpochNanos / IdleShare);
            return IsOutputWaiting && _idleEpoch >= _epochs.OpenEpoch && idleNanos < due.DueNanos
                ? (idleNanos, CutReason.OutputWaiting)
                : due;
        }
    }

    private (long DueNanos, CutReason Reason) UsualDue
    {
        get
        {
            if (_pacer is not null)
            {
                return _pacer.Due(IsOutputWaiting ? _outputNanos : long.MaxValue, _epochs.OpenBytes);
            }

            long due = _cutClock.DueNanos(IsOutputWaiting);
            bool isSooner = due < _cutClock.DueNanos(isOutputWaiting: false);
            return (due, isSooner ? CutReason.OutputWaiting : CutReason.Grid);
        }
    }

    /// <summary>Lets out what is acknowledged, while the lease holds (rules 1, 3, 26).</summary>
    private void TryRelease(long nowNanos)
    {
        if (!IsCommitting || !_lease.IsValid(nowNanos))
        {
            return;
        }

        if (_epochs.AckedEpoch > ReleasedEpoch)
        {
            ReleasedEpoch = _epochs.AckedEpoch;
            _actions.ReleaseOutput(ReleasedEpoch);
        }

        TryFinishLastEpoch(nowNanos);
    }

    private void TryCut(long nowNanos)
    {
        bool isLastDue = IsMakingLastEpoch && !_isLastCutRequested;
        (long dueNanos, CutReason reason) = Due;
        bool isOld = nowNanos >= dueNanos;
        bool isDue = isOld || _isGuestHeld;
        if (!IsCommitting || !(State == PrimaryState.Protected ? isDue : isLastDue) || !CanCut)
        {
            return;
        }

        if (isLastDue)
        {
            _isLastCutRequested = true;
            reason = CutReason.LastEpoch;
        }
        else if (!isOld)
        {
            reason = CutReason.StandbyFull;
        }

        Cuts.Add(reason);
        _progressNanos = nowNanos;
        RequestCut();
    }

    private void RequestCut()
    {
        _epochs.RequestCut();
        _actions.RequestCut(_epochs.OpenEpoch);
    }

    /// <summary>
    /// A standby that has no room slows the guest; a cut is made at once, so that it gets room (rule 23).
    /// </summary>
    private void LimitUnacked(long nowNanos)
    {
        bool isHeldForGood = State == PrimaryState.SwitchingOver;
        if (_epochs.OpenEpoch > 0 && !isHeldForGood && IsFull != _isGuestHeld)
        {
            HoldGuest(IsFull);
            TryCut(nowNanos);
        }
    }

    private void HoldGuest(bool isHeld)
    {
        if (_isGuestHeld != isHeld)
        {
            _isGuestHeld = isHeld;
            _actions.HoldGuest(isHeld);
        }
    }
}
