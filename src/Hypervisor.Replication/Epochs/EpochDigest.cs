using Hypervisor.Core;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Epochs;

/// <summary>
/// Digest and counts of an epoch: per kind a chain over the payload CRCs of its messages, in order.
/// </summary>
/// <remarks>
/// Per kind, because the copier's blocks and the guest's disk writes interleave differently on each run, while the
/// order
/// inside a kind is what matters. The digest chains the five: RAM, sections, disk writes, outputs, scrubs.
/// </remarks>
internal struct EpochDigest
{
    private uint _ram, _sections, _diskWrites, _outputs, _scrubs;
    private uint _ramCount, _sectionCount, _diskWriteCount, _outputCount, _scrubCount;

    /// <summary>Takes in the next message of a staged kind.</summary>
    public void Add(MessageKind kind, uint payloadChecksum)
    {
        switch (kind)
        {
            case MessageKind.RamBlock:
                Extend(ref _ram, ref _ramCount, payloadChecksum);
                break;
            case MessageKind.Section:
                Extend(ref _sections, ref _sectionCount, payloadChecksum);
                break;
            case MessageKind.DiskWrite:
                Extend(ref _diskWrites, ref _diskWriteCount, payloadChecksum);
                break;
            case MessageKind.Output:
                Extend(ref _outputs, ref _outputCount, payloadChecksum);
                break;
            case MessageKind.Scrub:
                Extend(ref _scrubs, ref _scrubCount, payloadChecksum);
                break;
            default:
                Check.That(false);
                break;
        }
    }

    /// <summary>What was taken in so far.</summary>
    public readonly EpochTotals Totals(long payloadBytes)
    {
        uint digest = 0;
        digest = Chain(digest, _ram);
        digest = Chain(digest, _sections);
        digest = Chain(digest, _diskWrites);
        digest = Chain(digest, _outputs);
        digest = Chain(digest, _scrubs);
        return new EpochTotals(
            _ramCount, _sectionCount, _diskWriteCount, _outputCount, _scrubCount, payloadBytes, digest);
    }

    /// <summary>Adds a value to a digest: one differing value always differs, whatever follows.</summary>
    /// <remarks>
    /// Not a CRC of CRCs: that is linear, and a flipped bit in one message undoes one in another about once in a
    /// thousand pairs. Multiplications between the xors (the finalizer of MurmurHash3, a bijection) end that.
    /// </remarks>
    public static uint Chain(uint digest, uint value)
    {
        uint mixed = unchecked((digest * 0x9E37_79B1) + value);
        mixed ^= mixed >> 16;
        mixed = unchecked(mixed * 0x85EB_CA6B);
        mixed ^= mixed >> 13;
        mixed = unchecked(mixed * 0xC2B2_AE35);
        return mixed ^ (mixed >> 16);
    }

    private static void Extend(ref uint chain, ref uint count, uint value)
    {
        chain = Chain(chain, value);
        count++;
    }
}
