using System;

namespace Hypervisor.Replication.Wire;

/// <summary>The primary lives; an answer lets it release output until <c>sent at</c> + its lease.</summary>
/// <remarks><code>sent at i64 | released epoch u64</code></remarks>
internal sealed class HeartbeatMessage : Message
{
    /// <inheritdoc/>
    public override MessageKind Kind => MessageKind.Heartbeat;

    /// <inheritdoc/>
    public override int FieldBytes => 16;

    /// <summary>Primary's clock at sending.</summary>
    public required long SentNanos { get; init; }

    /// <summary>Last epoch whose output is out.</summary>
    public required ulong ReleasedEpoch { get; init; }

    /// <inheritdoc/>
    public override void WriteFields(Span<byte> target)
    {
        var writer = new WireWriter(target);
        writer.Size(SentNanos);
        writer.U64(ReleasedEpoch);
    }

    internal static HeartbeatMessage Read(ref WireReader reader)
        => new() { SentNanos = reader.Size("sent at"), ReleasedEpoch = reader.U64("released epoch") };
}
