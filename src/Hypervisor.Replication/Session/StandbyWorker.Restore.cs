using Hypervisor.Replication.Disk;
using Hypervisor.Replication.Standby;

namespace Hypervisor.Replication.Session;

/// <content>What a process that was here before left behind.</content>
internal sealed partial class StandbyWorker
{
    /// <summary>Brings the disks to the last committed epoch, and says where they stand then.</summary>
    private StandbyMark? Restore()
    {
        // Before the journal is replayed to them (rule 44).
        bool isTouched = StateFolder.IsOlderThan(_setup.StateFolder, _setup.ImagesWritten());
        (ulong incarnation, ulong epoch) = _journal.Recover();
        if (isTouched || epoch > 0)
        {
            ForgetIntents(); // of a primary whose disks an older journal was replayed to they are not true
        }

        if (StandbyMark.Load(_markPath) is not { } mark)
        {
            return null;
        }

        if (incarnation == mark.Point.Incarnation && epoch > mark.Point.Epoch)
        {
            mark = mark with { Point = mark.Point with { Epoch = epoch } };
        }

        if (isTouched || mark.Phase == StandbyPhase.Promoted)
        {
            mark = mark with { Point = default };
        }

        if (isTouched)
        {
            _setup.Events.OnState(
                "the disks were written to since this standby last did: they will be compared as a whole");
        }

        return mark;
    }

    /// <summary>Tells the core where the disks stand. Before its first link.</summary>
    public void TellRestored(StandbyCore core)
    {
        StandbyMark mark = RestoredMark ?? default;
        ulong generation = mark.Phase == StandbyPhase.Promoted ? mark.Generation : 0;
        if (WriteIntents.Find(_setup.Intents) is { } primary) // it was the primary after it was a standby
        {
            core.Restore(primary.Point, generation, primary.Doubtful);
        }
        else
        {
            core.Restore(mark.Point, generation);
        }
    }

    private void ForgetIntents()
    {
        foreach (WriteIntentLog log in _setup.Intents)
        {
            log.Forget();
        }
    }
}
