using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Standby;

/// <summary>
/// The planned switch-over, as Epochs/PrimaryCore.SwitchOver.cs tells it: asks the witness before anybody stops, says
/// Ready, and takes over once the primary says Go.
/// </summary>
internal sealed partial class StandbyCore
{
    private bool _isSwitchAsked;  // the witness was asked, or Ready is said, and nothing has come of it yet
    private bool _isSwitchingOver; // the primary said Go
    private long _switchesAsked;
    private string _switchError = "";

    /// <summary>The rim may read what is applied, for a drill; then OnStateReturned.</summary>
    /// <returns>False when nothing is applied that is worth it.</returns>
    public bool TryLendState()
    {
        bool isThere = State == StandbyState.Protecting;
        _rimWork += isThere ? 1 : 0; // meanwhile no other primary is let in, so the state stays
        return isThere;
    }

    /// <summary>The rim has read it.</summary>
    public void OnStateReturned() => _rimWork--;

    private void BeginSwitch()
    {
        if (!_isSwitchAsked)
        {
            _isSwitchAsked = true;
            Ask(null, null);
        }
    }

    /// <summary>Before the guest stops: would this side win?</summary>
    private void OnSwitchRecord(in WitnessAnswer answer)
    {
        if (answer.Outcome == WitnessOutcome.Unreachable)
        {
            RefuseSwitch("the witness does not answer the standby");
        }
        else if (MayPromote(answer.Current))
        {
            _record = answer.Current;
            Send(new SwitchOverMessage { Step = SwitchOverStep.Ready });
        }
        else
        {
            RefuseSwitch("the witness does not name the standby as in sync");
        }
    }

    private void RefuseSwitch(string reason)
    {
        ForgetSwitch(reason);
        Send(new SwitchOverMessage { Step = SwitchOverStep.Refused, Reason = WireWriter.Fit(reason) });
    }

    private void OnSwitchOver(SwitchOverMessage message)
    {
        switch (message.Step)
        {
            case SwitchOverStep.Offer when State == StandbyState.Protecting:
                BeginSwitch();
                break;
            case SwitchOverStep.Refused:
                ForgetSwitch($"the primary refused: {message.Reason}");
                break;
            case SwitchOverStep.Go when State == StandbyState.Protecting && _isSwitchAsked && !_dialog.IsAsking
                && message.Epoch == _stage.EndedEpoch && message.Epoch == _stage.CommittedEpoch:
                Go(message.Epoch);
                break;
            default:
                Reject(message, $"{message.Step} of a switch-over after epoch {message.Epoch} while {State}, "
                    + $"committed is {_stage.CommittedEpoch} of {_stage.EndedEpoch}");
                break;
        }
    }

    /// <summary>
    /// The guest stands still there, and nothing more is let out: no lease to wait for. The link stays, to say Done.
    /// </summary>
    private void Go(ulong epoch)
    {
        Note(_echoNanos, releasedEpoch: epoch, settledEpoch: 0); // what is out may not be durable
        _isSwitchingOver = true;
        _notBeforeNanos = 0;
        Enter(StandbyState.TakingOver, "planned switch-over");
        _stage.DropUncommitted();
        Advance();
    }

    private void ForgetSwitch(string reason)
    {
        if (_isSwitchAsked)
        {
            _isSwitchAsked = _isSwitchingOver = false;
            _switchError = reason;
            _dialog.Cancel();
        }
    }
}
