using System;

namespace Hypervisor.Replication.Wire;

/// <summary>The guest ended with the epoch in the header, on purpose; the standby must not go live (rule 30).</summary>
/// <remarks><code>reason text (u8 length, UTF-8)</code></remarks>
internal sealed class PlannedEndMessage : Message
{
    /// <inheritdoc/>
    public override MessageKind Kind => MessageKind.PlannedEnd;

    /// <inheritdoc/>
    public override int FieldBytes => WireWriter.TextBytes(Reason);

    /// <summary>Why, for people; at most <see cref="MessageLimits.TextBytesMax"/> bytes.</summary>
    public required string Reason { get; init; }

    /// <inheritdoc/>
    public override void WriteFields(Span<byte> target) => new WireWriter(target).Text(Reason);

    internal static PlannedEndMessage Read(ref WireReader reader) => new() { Reason = reader.Text("reason") };
}
