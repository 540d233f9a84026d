using System;
using System.Buffers.Binary;
using Hypervisor.Core;
using Hypervisor.Core.State;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Epochs;

/// <summary>
/// Digest and counts of an epoch: per kind a CRC-32C chain over the payload CRCs of its messages, in order.
/// </summary>
/// <remarks>
/// Per kind, because the copier's blocks and the guest's disk writes interleave differently on each run, while the
/// order
/// inside a kind is what matters. The digest is the CRC-32C of the four chains: RAM, sections, disk writes, outputs.
/// </remarks>
internal struct EpochDigest
{
    private uint _ram, _sections, _diskWrites, _outputs;
    private uint _ramCount, _sectionCount, _diskWriteCount, _outputCount;

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
        return new EpochTotals(_ramCount, _sectionCount, _diskWriteCount, _outputCount, payloadBytes, digest);
    }

    /// <summary>The CRC-32C of <paramref name="digest"/> and the next value.</summary>
    public static uint Chain(uint digest, uint value)
    {
        Span<byte> pair = stackalloc byte[8];
        BinaryPrimitives.WriteUInt32LittleEndian(pair, digest);
        BinaryPrimitives.WriteUInt32LittleEndian(pair[4..], value);
        return ~Crc32C.Append(Crc32C.Start, pair);
    }

    private static void Extend(ref uint chain, ref uint count, uint value)
    {
        chain = Chain(chain, value);
        count++;
    }
}
