using System;
using Hypervisor.Core.Memory;

namespace Hypervisor.Replication.Capture;

/// <summary>Digest of all RAM: the sum of <see cref="PageHash"/> over its pages, so a changed page changes its part.
/// </summary>
/// <remarks>
/// Both sides keep one: the primary from what its guest has at a cut, the standby from what its RAM has once the epoch
/// is applied. They are compared for the full copy and for every epoch (rules 7, 25). One thread at a time. Costs eight
/// bytes for each page. RAM that is all zeroes has the digest 0.
/// </remarks>
internal sealed class RamDigest(long pageCount)
{
    private readonly ulong[] _hashes = new ulong[pageCount];

    /// <summary>Digest of all pages as they were last told.</summary>
    public ulong Value { get; private set; }

    /// <summary>A page has new content.</summary>
    public void Update(long page, ReadOnlySpan<byte> bytes) => Replace(page, PageHash.Of(page, bytes));

    /// <summary>A page is all zeroes now.</summary>
    public void Clear(long page) => Replace(page, 0);

    /// <summary>Reads all of RAM again.</summary>
    public void Recompute(GuestRam ram)
    {
        for (long page = 0; page < ram.PageCount; page++)
        {
            Update(page, ram.PageBytes(page));
        }
    }

    private void Replace(long page, ulong hash)
    {
        Value = unchecked(Value + hash - _hashes[page]);
        _hashes[page] = hash;
    }
}
