using System;

namespace Hypervisor.Replication.Wire;

/// <summary>Changed RAM of one epoch, or of the full copy (epoch 0). The bulk is the copier's own format.</summary>
/// <remarks><code>page count u32 | bulk</code></remarks>
internal sealed class RamBlockMessage : Message
{
    /// <summary>Size of the fields.</summary>
    public const int FieldBytesFixed = 4;

    /// <inheritdoc/>
    public override MessageKind Kind => MessageKind.RamBlock;

    /// <inheritdoc/>
    public override int FieldBytes => FieldBytesFixed;

    /// <summary>How many pages the bulk touches; for the status only.</summary>
    public required uint PageCount { get; init; }

    /// <inheritdoc/>
    public override void WriteFields(Span<byte> target) => new WireWriter(target).U32(PageCount);

    internal static RamBlockMessage Read(ref WireReader reader) => new() { PageCount = reader.U32("page count") };
}
