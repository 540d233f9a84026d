using System;

namespace Hypervisor.Replication.Wire;

/// <summary>The standby ended cleanly, everything applied and flushed.</summary>
/// <remarks>No fields.</remarks>
internal sealed class PlannedEndAckMessage : Message
{
    /// <inheritdoc/>
    public override MessageKind Kind => MessageKind.PlannedEndAck;

    /// <inheritdoc/>
    public override int FieldBytes => 0;

    /// <inheritdoc/>
    public override void WriteFields(Span<byte> target)
    {
    }
}
