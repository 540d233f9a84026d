using System.Threading;

namespace Hypervisor.Replication.Epochs;

/// <summary>Counts the cuts by their reasons. Written by the core, read by any thread.</summary>
internal sealed class CutTally
{
    private const int Reasons = (int)CutReason.LastEpoch + 1;

    private readonly long[] _counts = new long[Reasons]; // one writer; Volatile on both sides
    private int _last;

    /// <summary>Reason of the last cut.</summary>
    public CutReason Last => (CutReason)Volatile.Read(ref _last); // pairs with Add

    /// <summary>A cut was asked for.</summary>
    public void Add(CutReason reason)
    {
        Volatile.Write(ref _counts[(int)reason], _counts[(int)reason] + 1); // pairs with Snapshot
        Volatile.Write(ref _last, (int)reason); // pairs with Last
    }

    /// <summary>All reasons in their order, also those that led to none.</summary>
    public CutReasonCount[] Snapshot()
    {
        var counts = new CutReasonCount[Reasons];
        for (int i = 0; i < Reasons; i++)
        {
            counts[i] = new((CutReason)i, Volatile.Read(ref _counts[i])); // pairs with Add
        }

        return counts;
    }
}
