using Hypervisor.Replication.Standby;

namespace Hypervisor.Replication.Session;

/// <content>Copies of the guest for drills; and callers that are not let in.</content>
public sealed partial class StandbySession
{
    private GuestCopy? _copy; // the last one, until protection ends

    /// <summary>
    /// Copies the guest as of the last committed epoch that is applied, while protection goes on. The copy holds up
    /// commits for as long as RAM takes to be copied.
    /// </summary>
    public void CopyGuest(GuestCopy copy) => Post(new StandbyEvent(StandbyEventKind.CopyGuest, copy));

    private void BeginCopy(GuestCopy copy)
    {
        if (!_core.TryLendState())
        {
            copy.Finish(0, $"the standby is {_core.State}");
            return;
        }

        _copy = copy;
        _worker.CopyGuest(copy);
    }

    private void EndCopyUnlessProtecting(StandbyState state)
    {
        if (state != StandbyState.Protecting)
        {
            _copy?.EndAtOnce();
            _copy = null;
        }
    }

    /// <summary>Callers try again and again: the same line is said once.</summary>
    private void TellRefused(string line)
    {
        _gate.RefusalHandled();
        if (line != _toldRefusal)
        {
            _toldRefusal = line;
            _setup.Events.OnState(line);
        }
    }
}
