using System;

namespace Hypervisor.Replication.Wire;

/// <summary>Standby to primary: the full copy is whole, durable and promotable once the witness says so.</summary>
/// <remarks>No fields.</remarks>
internal sealed class FullCopyAckMessage : Message
{
    /// <inheritdoc/>
    public override MessageKind Kind => MessageKind.FullCopyAck;

    /// <inheritdoc/>
    public override int FieldBytes => 0;

    /// <inheritdoc/>
    public override void WriteFields(Span<byte> target)
    {
    }
}
