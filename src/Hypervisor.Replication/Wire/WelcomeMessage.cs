using System;

namespace Hypervisor.Replication.Wire;

/// <summary>The standby accepts, and states its bounds.</summary>
/// <remarks>
/// <code>node UUID | staged bytes max i64 | takeover timeout i64 ns | is ack durable u8 | compression u8</code>
/// </remarks>
internal sealed class WelcomeMessage : Message
{
    /// <inheritdoc/>
    public override MessageKind Kind => MessageKind.Welcome;

    /// <inheritdoc/>
    public override int FieldBytes => 34;

    /// <summary>Who the standby is at the witness.</summary>
    public required Guid Node { get; init; }

    /// <summary>Most bytes of uncommitted epochs that it holds.</summary>
    public required long StagedBytesMax { get; init; }

    /// <summary>Silence after which it tries to take over.</summary>
    public required long TakeoverNanos { get; init; }

    /// <summary>Whether an epoch with a flush is acknowledged only when durable (<c>ack=durable</c>).</summary>
    public required bool IsAckDurable { get; init; }

    /// <summary>Which one of those that the Hello offers.</summary>
    public Compressions Compression { get; init; } = Compressions.None;

    /// <inheritdoc/>
    public override void WriteFields(Span<byte> target)
    {
        var writer = new WireWriter(target);
        writer.Uuid(Node);
        writer.Size(StagedBytesMax);
        writer.Size(TakeoverNanos);
        writer.U8(IsAckDurable ? (byte)1 : (byte)0);
        writer.U8((byte)Compression);
    }

    internal static WelcomeMessage Read(ref WireReader reader) => new()
    {
        Node = reader.Uuid("node"),
        StagedBytesMax = reader.Size("staged bytes max"),
        TakeoverNanos = reader.Size("takeover timeout"),
        IsAckDurable = reader.Flag("is ack durable"),
        Compression = (Compressions)reader.U8("compression"),
    };
}
