using System;

namespace Hypervisor.Replication.Wire;

/// <summary>Everything of the epoch was sent: what the standby must hold before it may commit.</summary>
/// <remarks>
/// <code>RAM blocks u32 | sections u32 | disk writes u32 | outputs u32 | payload bytes i64 | digest u32 | sent at
/// i64 | released epoch u64</code>
/// The digest is an epoch digest (see Epochs/); sent at and released epoch as in a heartbeat.
/// </remarks>
internal sealed class EpochEndMessage : Message
{
    /// <inheritdoc/>
    public override MessageKind Kind => MessageKind.EpochEnd;

    /// <inheritdoc/>
    public override int FieldBytes => 44;

    /// <summary>Counts and digest.</summary>
    public required EpochTotals Totals { get; init; }

    /// <summary>Primary's clock at sending: the start of the lease that an answer grants.</summary>
    public required long SentNanos { get; init; }

    /// <summary>Last epoch whose output is out.</summary>
    public required ulong ReleasedEpoch { get; init; }

    /// <inheritdoc/>
    public override void WriteFields(Span<byte> target)
    {
        var writer = new WireWriter(target);
        writer.U32(Totals.RamBlocks);
        writer.U32(Totals.Sections);
        writer.U32(Totals.DiskWrites);
        writer.U32(Totals.Outputs);
        writer.Size(Totals.PayloadBytes);
        writer.U32(Totals.Digest);
        writer.Size(SentNanos);
        writer.U64(ReleasedEpoch);
    }

    internal static EpochEndMessage Read(ref WireReader reader) => new()
    {
        Totals = new EpochTotals(
            reader.U32("RAM blocks"),
            reader.U32("sections"),
            reader.U32("disk writes"),
            reader.U32("outputs"),
            reader.Size("payload bytes"),
            reader.U32("digest")),
        SentNanos = reader.Size("sent at"),
        ReleasedEpoch = reader.U64("released epoch"),
    };
}
