using System;

namespace Hypervisor.Replication.Wire;

/// <summary>Checkpoint sections of the cut: whole ones, in checkpoint order, over one or several messages.</summary>
/// <remarks><code>bulk: sections as src/FORMATS.md describes them</code></remarks>
internal sealed class SectionMessage : Message
{
    /// <inheritdoc/>
    public override MessageKind Kind => MessageKind.Section;

    /// <inheritdoc/>
    public override int FieldBytes => 0;

    /// <inheritdoc/>
    public override void WriteFields(Span<byte> target)
    {
    }
}
