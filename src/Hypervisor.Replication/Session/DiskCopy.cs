using System;
using Hypervisor.Backends.Block.Filters;

namespace Hypervisor.Replication.Session;

/// <summary>Brings one disk of the standby to what the primary's is, while the guest writes to it.</summary>
/// <remarks>
/// The standby may have most of it: from before an outage, from before it was a standby, or because a copy was cut off.
/// Where it says at which point it stands and this side knows that point, what has not changed since is left out (rule
/// 35). The rest is compared by digest, and what differs is copied. Both happen in order with the guest's writes, which
/// the standby gets as well, so what was the same stays so. Where nothing is the same, as on an empty disk, it stops
/// comparing for a while.
/// </remarks>
/// <param name="run">Of this life of the pair.</param>
/// <param name="disk">Which.</param>
/// <param name="onDone">Called with a number of bytes when so many more are the same on both sides.</param>
internal sealed class DiskCopy(CaptureRun run, EpochTagFilter disk, Action<long> onDone)
{
    // So many digests are under way at most: enough for a link of some milliseconds.
    private const int OutstandingMax = 128;

    private const int DifferentInARow = 64;              // pieces; then it is another disk
    private const int RangesWithoutLook = 128;           // 60 MiB are copied then before it looks again
    private const int PiecesPerRange = CaptureRun.RangeBytes / CaptureRun.PieceBytes;

    private int _outstanding;
    private int _different; // in a row

    /// <summary>Bytes whose content was sent, or said to be zeroes.</summary>
    public long CopiedBytes { get; private set; }

    /// <summary>Copies. False when the run was stopped, or has failed.</summary>
    public bool TryRun()
    {
        int blind = 0; // ranges that are copied without a look
        long from = 0;
        while (disk.Changes.TryFind(
            from, run.Plan.DisksAfter, CaptureRun.RangeBytes, out long offset, out long rangeBytes))
        {
            int length = (int)rangeBytes;
            from = offset + length;
            if (!(blind > 0 ? TryCopy(offset, length) : TryCompare(offset, length)))
            {
                return false;
            }

            blind = Math.Max(0, blind - 1);
            if (_different >= DifferentInARow)
            {
                _different = 0;
                blind = RangesWithoutLook;
            }
        }

        return TrySettle(0);
    }

    private bool TryCompare(long offset, int length)
    {
        if (!run.TryCompareRange(disk, offset, length))
        {
            return false;
        }

        _outstanding += (length + CaptureRun.PieceBytes - 1) / CaptureRun.PieceBytes;
        return TrySettle(OutstandingMax - PiecesPerRange);
    }

    // Waits for comparisons until so few are under way, and copies what differs.
    private bool TrySettle(int outstandingMax)
    {
        while (_outstanding > outstandingMax)
        {
            if (!run.TryTakeComparison(out Comparison comparison))
            {
                return false;
            }

            _outstanding--;
            int length = (int)comparison.Range.LengthBytes;
            if (comparison.IsSame)
            {
                _different = 0;
                onDone(length);
            }
            else
            {
                _different++;
                if (!TryCopy(comparison.Range.OffsetBytes, length))
                {
                    return false;
                }
            }
        }

        return true;
    }

    private bool TryCopy(long offset, int length)
    {
        if (!run.TryCopyRange(disk, offset, length))
        {
            return false;
        }

        CopiedBytes += length;
        onDone(length);
        return true;
    }
}
