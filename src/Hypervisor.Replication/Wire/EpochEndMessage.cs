using System;

namespace Hypervisor.Replication.Wire;

/// <summary>Everything of the epoch was sent: what the standby must hold before it may commit.</summary>
/// <remarks>
/// <code>RAM blocks u32 | sections u32 | disk writes u32 | outputs u32 | scrubs u32 | payload bytes i64 | digest u32 |
/// sent at i64 | released epoch u64 | settled epoch u64 | has RAM digest u8 | RAM digest u64</code>
/// The digest is an epoch digest (see Epochs/); sent at, released and settled epoch as in a heartbeat.
/// </remarks>
internal sealed class EpochEndMessage : Message
{
    /// <inheritdoc/>
    public override MessageKind Kind => MessageKind.EpochEnd;

    /// <inheritdoc/>
    public override int FieldBytes => 65;

    /// <summary>Counts and digest.</summary>
    public required EpochTotals Totals { get; init; }

    /// <summary>Digest of all RAM as of the cut, for the standby to compare once it applied it; null: none.</summary>
    public ulong? RamDigest { get; init; }

    /// <summary>Primary's clock at sending: the start of the lease that an answer grants.</summary>
    public required long SentNanos { get; init; }

    /// <summary>Last epoch whose output is out.</summary>
    public required ulong ReleasedEpoch { get; init; }

    /// <summary>Last epoch that is durable on the shared disks; 0: none, or there is no such disk.</summary>
    public ulong SettledEpoch { get; init; }

    /// <inheritdoc/>
    public override void WriteFields(Span<byte> target)
    {
        var writer = new WireWriter(target);
        writer.U32(Totals.RamBlocks);
        writer.U32(Totals.Sections);
        writer.U32(Totals.DiskWrites);
        writer.U32(Totals.Outputs);
        writer.U32(Totals.Scrubs);
        writer.Size(Totals.PayloadBytes);
        writer.U32(Totals.Digest);
        writer.Size(SentNanos);
        writer.U64(ReleasedEpoch);
        writer.U64(SettledEpoch);
        writer.U8(RamDigest is null ? (byte)0 : (byte)1);
        writer.U64(RamDigest ?? 0);
    }

    internal static EpochEndMessage Read(ref WireReader reader)
    {
        var totals = new EpochTotals(
            reader.U32("RAM blocks"),
            reader.U32("sections"),
            reader.U32("disk writes"),
            reader.U32("outputs"),
            reader.U32("scrubs"),
            reader.Size("payload bytes"),
            reader.U32("digest"));
        long sent = reader.Size("sent at");
        ulong released = reader.U64("released epoch");
        ulong settled = reader.U64("settled epoch");
        bool hasRamDigest = reader.Flag("has RAM digest");
        ulong ramDigest = reader.U64("RAM digest");
        return new()
        {
            Totals = totals,
            SentNanos = sent,
            ReleasedEpoch = released,
            SettledEpoch = settled,
            RamDigest = hasRamDigest ? ramDigest : null,
        };
    }
}
