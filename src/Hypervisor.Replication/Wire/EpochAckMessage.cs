using System;

namespace Hypervisor.Replication.Wire;

/// <summary>The epoch in the header survives the loss of the primary.</summary>
/// <remarks>
/// <code>echo i64 | applied epoch u64 | times (see <see cref="StandbyTimes"/>)</code>
/// The echo is the latest <c>sent at</c> that the standby has seen.
/// </remarks>
internal sealed class EpochAckMessage : Message
{
    /// <inheritdoc/>
    public override MessageKind Kind => MessageKind.EpochAck;

    /// <inheritdoc/>
    public override int FieldBytes => 16 + StandbyTimes.Bytes;

    /// <summary>Primary's clock, from which the lease counts.</summary>
    public required long EchoNanos { get; init; }

    /// <summary>Last epoch that reached the standby's RAM and disks.</summary>
    public required ulong AppliedEpoch { get; init; }

    /// <summary>Stage and journal of the epoch in the header, apply of <see cref="AppliedEpoch"/>.</summary>
    public StandbyTimes Times { get; init; }

    /// <inheritdoc/>
    public override void WriteFields(Span<byte> target)
    {
        var writer = new WireWriter(target);
        writer.Size(EchoNanos);
        writer.U64(AppliedEpoch);
        Times.Write(ref writer);
    }

    internal static EpochAckMessage Read(ref WireReader reader) => new()
    {
        EchoNanos = reader.Size("echo"),
        AppliedEpoch = reader.U64("applied epoch"),
        Times = StandbyTimes.Read(ref reader),
    };
}
