using System;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Epochs;

/// <summary>The planned switch-over: the standby becomes the runner while both sides are well.</summary>
/// <remarks>
/// <code>
/// primary                                              standby
/// asked here: Offer                           ──►      asked here, or by the Offer:
///                                                      does the witness answer, and name it as in sync?
///                                             ◄──      Ready
/// the guest stands still; the last epoch:
///   cut, acknowledged, its output let out
/// Go: from here on only the witness decides   ──►      applies, flushes, writes the generation
///                                                      swaps the record: runner, generation + 1
/// Done: drops what is held, ends              ◄──      runs the guest
/// </code>
/// <b>Safe</b>, because the record changes hands by one swap, like in any takeover. What differs is that nothing is
/// lost and nobody waits: the guest stands still before Go, so the lease need not run off, and this side asks the
/// witness only when Done does not come in time or the standby gives up. Then it swaps against the same record: who
/// wins runs, and the other one finds that out. Before Go this side has given nothing away, and goes on (rule 40).
/// </remarks>
internal sealed partial class PrimaryCore
{
    private bool _isSwitchOffered; // and not answered yet
    private Guid? _goneTo;         // Go was sent: this standby may be the runner, the witness knows
    private long _goNanos;
    private long _switchesAsked;
    private string _switchError = "";

    private bool IsSwitchUnderWay => _isSwitchOffered || State == PrimaryState.SwitchingOver
        || (_goneTo is not null && State is PrimaryState.Deciding or PrimaryState.Waiting);

    /// <summary>An operator asks this side to hand the guest over.</summary>
    public void SwitchOver()
    {
        _switchesAsked++;
        if (IsSwitchUnderWay)
        {
            return;
        }

        if (State != PrimaryState.Protected || _endReason is not null)
        {
            _switchError = $"the primary is {State}";
            return;
        }

        _switchError = "";
        _isSwitchOffered = true;
        Send(new SwitchOverMessage { Step = SwitchOverStep.Offer });
    }

    private void OnSwitchOver(SwitchOverMessage message, long nowNanos)
    {
        switch (message.Step)
        {
            case SwitchOverStep.Ready when State == PrimaryState.Protected && _endReason is null:
                BeginSwitch(nowNanos);
                break;
            case SwitchOverStep.Ready when State != PrimaryState.SwitchingOver:
                string reason = WireWriter.Fit($"the primary is {State}");
                Send(new SwitchOverMessage { Step = SwitchOverStep.Refused, Reason = reason });
                break;
            case SwitchOverStep.Refused when State != PrimaryState.SwitchingOver:
                _switchError = _isSwitchOffered ? $"the standby refused: {message.Reason}" : _switchError;
                _isSwitchOffered = false;
                break;
            case SwitchOverStep.Done when _goneTo is not null && State == PrimaryState.SwitchingOver:
                HandOver(_generation + 1, nowNanos);
                break;
            default:
                LoseStandby($"standby sent {message.Step} of a switch-over to a primary that is {State}", nowNanos);
                break;
        }
    }

    private void BeginSwitch(long nowNanos)
    {
        _isSwitchOffered = false;
        _isFinalDue = true;
        _isLastCutRequested = false;
        Enter(PrimaryState.SwitchingOver, "", nowNanos);
        HoldGuest(true);
        TryCut(nowNanos);
    }

    /// <summary>The last epoch is committed and its output is out: nothing more will come from here.</summary>
    private void SendGo(long nowNanos)
    {
        _lease.Void();
        _goneTo = _welcome!.Node;
        _goNanos = nowNanos;
        Send(new SwitchOverMessage { Step = SwitchOverStep.Go, Epoch = _epochs.EndedEpoch });
    }

    /// <summary>Protection ends in the middle of it, and why.</summary>
    private void NoteSwitchFailure(string reason)
    {
        if (IsSwitchUnderWay)
        {
            _isSwitchOffered = false;
            _switchError = reason;
        }
    }

    private bool IsHandedOver(WitnessRecord? current) => _goneTo is not null && current?.Runner == _goneTo;

    private void HandOver(ulong generation, long nowNanos) => Halt(
        PrimaryState.HandedOver, $"handed over to {_goneTo} in generation {generation}", nowNanos);
}
