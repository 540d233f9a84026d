using System;
using Hypervisor.Core.Memory;
using Hypervisor.Core.State;
using Hypervisor.Replication.Capture;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Session;

/// <content>Comparing what is here with what the primary has, epoch by epoch.</content>
internal sealed partial class StandbyWorker
{
    private const int BlockBytes = PageKernels.PageBytes;

    /// <summary>RAM has the epoch: the ranges that came with it must be the same.</summary>
    private void CompareRam(StagedEpoch epoch)
    {
        foreach (ScrubMessage scrub in epoch.Scrubs)
        {
            if (scrub.IsRam)
            {
                CheckScrub(scrub, _machine!.Ram.LengthBytes);
                Compare(scrub, "RAM", _machine.Ram.ReadOnlyBytes);
            }
        }
    }

    /// <summary>A disk has all that comes before a scrub of it.</summary>
    private void CompareDisk(ScrubMessage scrub)
    {
        StandbyDisk disk = _disks[scrub.Range.Disk];
        CheckScrub(scrub, disk.LengthBytes);
        Compare(scrub, $"disk {disk.Id}", disk.Read);
    }

    private delegate ReadOnlySpan<byte> Reader(long offsetBytes, int lengthBytes);

    private static void Compare(ScrubMessage scrub, string where, Reader read)
    {
        (_, long start, long length) = scrub.Range;
        long first = -1, last = -1;
        for (long at = 0; at < length;)
        {
            int count = (int)Math.Min(StandbyDisk.PieceBytes, length - at);
            ReadOnlySpan<byte> piece = read(start + at, count);
            for (long end = at + count; at < end; at += BlockBytes)
            {
                ReadOnlySpan<byte> block = piece[..Math.Min(BlockBytes, piece.Length)];
                piece = piece[block.Length..];
                if (!ScrubHashes.IsSame(scrub.Bulk.Span, (int)(at / BlockBytes), (start + at) / BlockBytes, block))
                {
                    first = first < 0 ? at : first;
                    last = Math.Min(length, at + BlockBytes) - 1;
                }
            }
        }

        if (first >= 0)
        {
            throw new StateFormatException(
                $"scrub: {where}: bytes {start + first} to {start + last} are not what the primary has");
        }
    }

    private static void CheckScrub(ScrubMessage scrub, long size)
    {
        (_, long start, long length) = scrub.Range;
        if (start % BlockBytes != 0 || length > size || start > size - length
            || scrub.Bulk.Length != ScrubHashes.Bytes(length))
        {
            throw new StateFormatException(
                $"scrub of bytes {start} + {length} of {size} comes with {scrub.Bulk.Length} bytes of hashes");
        }
    }
}
