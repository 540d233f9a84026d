using System;
using System.IO;

namespace Hypervisor.Replication.Session;

/// <content>What a process that was here before left behind.</content>
internal sealed partial class StandbyWorker
{
    // Disks are written right behind the journal. Who writes to them later than that is somebody else.
    private static readonly TimeSpan s_behindJournal = TimeSpan.FromSeconds(2);

    /// <summary>Brings the disks to the last committed epoch, and says where they stand then.</summary>
    private StandbyMark? Restore()
    {
        bool isTouched = AreDisksTouched(); // before the journal is replayed to them
        (ulong incarnation, ulong epoch) = _journal.Recover();
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

    /// <summary>Whether an image is newer than everything that this side wrote about it (rule 44).</summary>
    private bool AreDisksTouched()
    {
        DateTime newest = DateTime.MinValue;
        foreach (string file in Directory.EnumerateFiles(_setup.StateFolder))
        {
            DateTime written = File.GetLastWriteTimeUtc(file);
            newest = written > newest ? written : newest;
        }

        return newest > DateTime.MinValue && _setup.ImagesWritten() > newest + s_behindJournal;
    }
}
