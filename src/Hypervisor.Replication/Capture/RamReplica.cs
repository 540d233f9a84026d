using System;
using Hypervisor.Core.Memory;

namespace Hypervisor.Replication.Capture;

/// <summary>
/// What the primary knows about RAM at the standby, over all lives of the pair: the content that was last sent of each
/// page, and the stamp of the page's last change. It costs as much memory as the guest's RAM.
/// </summary>
/// <remarks>
/// Pages are stamped when they are listed, before they are copied. So a page whose stamp is not above that of an epoch
/// which the standby has is the same on both sides, and the same as here. The capture thread's alone.
/// </remarks>
internal sealed class RamReplica(long pageCount) : IDisposable
{
    private readonly ulong[] _stamps = new ulong[pageCount];

    /// <summary>What was last sent of each page; zeroes at first.</summary>
    public PrivateRam Shadow { get; } = new(pageCount);

    /// <summary>Digest of the shadow.</summary>
    public RamDigest Digest { get; } = new(pageCount);

    /// <summary>These pages changed.</summary>
    public void Stamp(ReadOnlySpan<int> pages, ulong stamp)
    {
        foreach (int page in pages)
        {
            _stamps[page] = stamp;
        }
    }

    /// <summary>Whether a page changed after a stamp; null: every page counts as changed.</summary>
    public bool IsChanged(long page, ulong? after) => after is not { } stamp || _stamps[page] > stamp;

    /// <summary>Pages that changed after a stamp.</summary>
    public long CountPages(ulong? after)
    {
        long count = 0;
        for (long page = 0; page < pageCount; page++)
        {
            count += IsChanged(page, after) ? 1 : 0;
        }

        return count;
    }

    /// <inheritdoc/>
    public void Dispose() => Shadow.Dispose();
}
