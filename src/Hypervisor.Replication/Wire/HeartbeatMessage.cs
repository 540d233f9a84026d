using System;

namespace Hypervisor.Replication.Wire;

/// <summary>The primary lives; an answer lets it release output until <c>sent at</c> + its lease.</summary>
/// <remarks><code>sent at i64 | released epoch u64 | settled epoch u64</code></remarks>
internal sealed class HeartbeatMessage : Message
{
    /// <inheritdoc/>
    public override MessageKind Kind => MessageKind.Heartbeat;

    /// <inheritdoc/>
    public override int FieldBytes => 24;

    /// <summary>Primary's clock at sending.</summary>
    public required long SentNanos { get; init; }

    /// <summary>Last epoch whose output is out.</summary>
    public required ulong ReleasedEpoch { get; init; }

    /// <summary>Last epoch that is durable on the shared disks; 0: none, or there is no such disk.</summary>
    public ulong SettledEpoch { get; init; }

    /// <inheritdoc/>
    public override void WriteFields(Span<byte> target)
    {
        var writer = new WireWriter(target);
        writer.Size(SentNanos);
        writer.U64(ReleasedEpoch);
        writer.U64(SettledEpoch);
    }

    internal static HeartbeatMessage Read(ref WireReader reader)
        => new()
        {
            SentNanos = reader.Size("sent at"),
            ReleasedEpoch = reader.U64("released epoch"),
            SettledEpoch = reader.U64("settled epoch"),
        };
}
