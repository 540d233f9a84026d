using System;
using System.Collections;
using Hypervisor.Backends.Block;
using Hypervisor.Core.Memory;

namespace Hypervisor.Replication.Capture;

/// <summary>The 4 KiB blocks of a disk that the guest discarded and has not written since, as a whole.</summary>
/// <remarks>
/// What they read as is each image's own affair. A bit for each block, taken at the first discard. What a disk has
/// grown by since counts as discarded.
/// </remarks>
internal sealed class DiscardedBlocks(long diskBytes)
{
    private const int BlockBytes = PageKernels.PageBytes;

    private readonly int _count = (int)((diskBytes + BlockBytes - 1) / BlockBytes);
    private BitArray? _blocks;

    /// <summary>Whether something of a block may read as anything.</summary>
    public bool Contains(long block) => block >= _count || (_blocks is not null && _blocks[(int)block]);

    /// <summary>The guest changes a range, which lies inside the disk.</summary>
    public void OnChange(BlockOperation operation, long offsetBytes, long lengthBytes)
    {
        bool isDiscard = operation == BlockOperation.Discard;
        bool isNone = lengthBytes == 0 || operation is BlockOperation.Flush or BlockOperation.Resize;
        if (isNone || (_blocks is null && !isDiscard))
        {
            return;
        }

        _blocks ??= new BitArray(_count);
        long end = offsetBytes + lengthBytes;

        // A discard takes in the blocks that it touches; anything else restores those that it covers.
        long first = (isDiscard ? offsetBytes : offsetBytes + BlockBytes - 1) / BlockBytes;
        bool endsWhole = isDiscard || end >= diskBytes;
        long last = endsWhole ? Math.Min(end - 1, diskBytes - 1) / BlockBytes : (end / BlockBytes) - 1;
        for (long block = first; block <= last; block++)
        {
            _blocks[(int)block] = isDiscard;
        }
    }
}
