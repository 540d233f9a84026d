using System;

namespace Hypervisor.Replication.Wire;

/// <summary>Whether the standby's disk has the same in a range; the answers come in the order of the digests.</summary>
/// <remarks><code>disk u16 | offset i64 | length i64 | is same u8</code></remarks>
internal sealed class DiskAnswerMessage : Message
{
    /// <inheritdoc/>
    public override MessageKind Kind => MessageKind.DiskAnswer;

    /// <inheritdoc/>
    public override int FieldBytes => 19;

    /// <summary>Which range.</summary>
    public required DiskRange Range { get; init; }

    /// <summary>Whether it need not be copied.</summary>
    public required bool IsSame { get; init; }

    /// <inheritdoc/>
    public override void WriteFields(Span<byte> target)
    {
        var writer = new WireWriter(target);
        Range.Write(ref writer);
        writer.U8(IsSame ? (byte)1 : (byte)0);
    }

    internal static DiskAnswerMessage Read(ref WireReader reader) => new()
    {
        Range = DiskRange.Read(ref reader),
        IsSame = reader.Flag("is same"),
    };
}
