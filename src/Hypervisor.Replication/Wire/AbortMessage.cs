using System;

namespace Hypervisor.Replication.Wire;

/// <summary>
/// The sender ends protection. From the primary: after "standby outdated" is at the witness; from the standby: it
/// failed.
/// </summary>
/// <remarks><code>reason text (u8 length, UTF-8)</code></remarks>
internal sealed class AbortMessage : Message
{
    /// <inheritdoc/>
    public override MessageKind Kind => MessageKind.Abort;

    /// <inheritdoc/>
    public override int FieldBytes => WireWriter.TextBytes(Reason);

    /// <summary>Why, for people; at most <see cref="MessageLimits.TextBytesMax"/> bytes.</summary>
    public required string Reason { get; init; }

    /// <inheritdoc/>
    public override void WriteFields(Span<byte> target) => new WireWriter(target).Text(Reason);

    internal static AbortMessage Read(ref WireReader reader) => new() { Reason = reader.Text("reason") };
}
