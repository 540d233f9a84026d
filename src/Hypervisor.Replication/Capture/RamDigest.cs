using System;
using Hypervisor.Core.State;

namespace Hypervisor.Replication.Capture;

/// <summary>64-bit digest of RAM, page by page: two CRC-32C chains, over even and odd halves of each page.</summary>
/// <remarks>Both sides compute it after the full copy and compare (rule 25).</remarks>
internal struct RamDigest
{
    private uint _low = Crc32C.Start;
    private uint _high = Crc32C.Start;

    public RamDigest()
    {
    }

    /// <summary>Digest of the pages so far.</summary>
    public readonly ulong Value => ((ulong)~_high << 32) | ~_low;

    /// <summary>Takes in the next page.</summary>
    public void Add(ReadOnlySpan<byte> page)
    {
        _low = Crc32C.Append(_low, page[..(page.Length / 2)]);
        _high = Crc32C.Append(_high, page[(page.Length / 2)..]);
    }
}
