using System;

namespace Hypervisor.Replication.Wire;

/// <summary>
/// The standby lives, and will not take over within its timeout from when it saw the echoed heartbeat.
/// </summary>
/// <remarks><code>echo i64 | committed epoch u64 | applied epoch u64</code></remarks>
internal sealed class HeartbeatReplyMessage : Message
{
    /// <inheritdoc/>
    public override MessageKind Kind => MessageKind.HeartbeatReply;

    /// <inheritdoc/>
    public override int FieldBytes => 24;

    /// <summary>Primary's clock of the heartbeat.</summary>
    public required long EchoNanos { get; init; }

    /// <summary>Last committed epoch.</summary>
    public required ulong CommittedEpoch { get; init; }

    /// <summary>Last epoch that reached RAM and disks.</summary>
    public required ulong AppliedEpoch { get; init; }

    /// <inheritdoc/>
    public override void WriteFields(Span<byte> target)
    {
        var writer = new WireWriter(target);
        writer.Size(EchoNanos);
        writer.U64(CommittedEpoch);
        writer.U64(AppliedEpoch);
    }

    internal static HeartbeatReplyMessage Read(ref WireReader reader) => new()
    {
        EchoNanos = reader.Size("echo"),
        CommittedEpoch = reader.U64("committed epoch"),
        AppliedEpoch = reader.U64("applied epoch"),
    };
}
