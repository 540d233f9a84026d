using System;
using Hypervisor.Core;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Epochs;

/// <summary>What the primary asks of the witness, and what each answer leads to.</summary>
internal sealed partial class PrimaryCore
{
    private Intent _intent;

    private enum Intent
    {
        Claim,
        MarkInSync,
        MarkOutdated,
        MarkEnded,
    }

    private void MarkInSync(long nowNanos)
    {
        _intent = Intent.MarkInSync;
        _mayBeInSync = true;
        AskFor(nowNanos);
    }

    private void MarkOutdated(long nowNanos)
    {
        _intent = Intent.MarkOutdated;
        AskFor(nowNanos);
    }

    private void MarkEnded(long nowNanos)
    {
        _intent = Intent.MarkEnded;
        AskFor(nowNanos);
    }

    private void AskFor(long nowNanos) => Ask(_record, DesiredRecord(), nowNanos);

    private void Ask(WitnessRecord? expected, WitnessRecord? desired, long nowNanos)
    {
        WitnessRequest request = _dialog.Ask(expected, desired, nowNanos);
        _actions.AskWitness(request);
    }

    private WitnessRecord DesiredRecord() => _intent switch
    {
        Intent.Claim => _record is null
            ? new WitnessRecord(
                _options.Machine.PairId, 1, 1, _options.Node, Guid.Empty, 0, false, 0, WitnessPhase.Running)
            : Alone(_record) with { Phase = WitnessPhase.Running },
        Intent.MarkInSync => _record! with
        {
            Revision = _record.Revision + 1,
            Standby = _welcome!.Node,
            Incarnation = Incarnation,
            IsStandbyInSync = true,
            OutdatedSince = 0,
        },
        Intent.MarkOutdated => Alone(_record!),
        Intent.MarkEnded => (_isLastCommitted ? _record! : Outdated(_record!)) with
        {
            Revision = _record!.Revision + 1,
            Phase = WitnessPhase.Ended,
        },
    };

    /// <summary>A new generation, in which the standby, if there ever was one, does not take part.</summary>
    private static WitnessRecord Alone(WitnessRecord record) => Outdated(record) with
    {
        Revision = record.Revision + 1,
        Generation = record.Generation + 1,
    };

    private static WitnessRecord Outdated(WitnessRecord record) => record with
    {
        IsStandbyInSync = false,
        OutdatedSince = record.Standby == Guid.Empty ? 0
            : record.OutdatedSince != 0 ? record.OutdatedSince
            : record.Generation,
    };

    /// <summary>The record was read: at the start, or while waiting for a standby.</summary>
    private void OnRecordRead(WitnessRecord? current, long nowNanos)
    {
        if (current is not null && current.Runner != _options.Node)
        {
            Demote(current, nowNanos);
        }
        else if (State == PrimaryState.Waiting)
        {
            // A swap to "outdated" that was given up may have come through late.
            _record = current ?? _record;
            _generation = _record!.Generation;
            _dialog.RetryLater(nowNanos);
        }
        else
        {
            Check.That(State == PrimaryState.Starting);
            _record = current;
            _generation = current?.Generation ?? 0;
            _intent = Intent.Claim;
            AskFor(nowNanos);
        }
    }

    private void OnSwapped(long nowNanos)
    {
        switch (_intent)
        {
            case Intent.Claim:
                Enter(PrimaryState.Alone, "no standby yet", nowNanos);
                _actions.StartGuest(_generation);
                TryEnd(nowNanos);
                break;
            case Intent.MarkInSync:
                Check.That(State == PrimaryState.Syncing);
                Enter(PrimaryState.Protected, "", nowNanos);
                TryEnd(nowNanos);
                TryCut(nowNanos);
                break;
            case Intent.MarkOutdated when State == PrimaryState.Pairing:
                // Out of Waiting: officially alone now, so what was held is true, and the guest may go on.
                _wasWaiting = false;
                _actions.PassOutput();
                HoldGuest(false);
                StartCopy(nowNanos);
                break;
            case Intent.MarkOutdated:
                GoAlone(Reason, nowNanos);
                break;
            case Intent.MarkEnded:
                OnEndMarked(nowNanos);
                break;
            default:
                Check.That(false);
                break;
        }
    }

    private void OnEndMarked(long nowNanos)
    {
        if (!_isLinkUp)
        {
            _actions.PassOutput(); // nobody else will ever run: what this side did is what happened
            FinishEnd(nowNanos);
            return;
        }

        _isEndSent = true;
        Send(new PlannedEndMessage { Epoch = _epochs.EndedEpoch, Reason = _endReason! });
    }

    private void Demote(WitnessRecord? current, long nowNanos)
    {
        if (IsHandedOver(current))
        {
            HandOver(current!.Generation, nowNanos);
            return;
        }

        string runner = current is null ? "nobody" : $"{current.Runner} in generation {current.Generation}";
        Halt(PrimaryState.Demoted, $"the witness names {runner} as the runner, not {_options.Node}", nowNanos);
    }

    private void OnWitnessUnreachable(long nowNanos)
    {
        switch (State)
        {
            case PrimaryState.Syncing:
            case PrimaryState.Pairing:
                LoseStandby("the witness does not answer", nowNanos);
                break;
            case PrimaryState.Ending when _record is { IsStandbyInSync: false } && !_mayBeInSync:
                FinishEnd(nowNanos); // nobody can take over anyway
                break;
            case PrimaryState.Starting:
            case PrimaryState.Deciding:
            case PrimaryState.Ending:
                if (_options.OnWitnessLost == WitnessPolicy.Stop)
                {
                    Stop($"{Reason}; the witness does not answer", nowNanos);
                }
                else
                {
                    _dialog.RetryLater(nowNanos);
                }

                break;
            case PrimaryState.Waiting:
                _dialog.RetryLater(nowNanos);
                break;
            default:
                break;
        }
    }
}
