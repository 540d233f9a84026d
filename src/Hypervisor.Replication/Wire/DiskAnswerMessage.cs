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
        writer.U16(Range.Disk);
        writer.Size(Range.OffsetBytes);
        writer.Size(Range.LengthBytes);
        writer.U8(IsSame ? (byte)1 : (byte)0);
    }

    internal static DiskAnswerMessage Read(ref WireReader reader) => new()
    {
        Range = new DiskRange(reader.U16("disk"), reader.Size("offset"), reader.Size("length")),
        IsSame = reader.Flag("is same"),
    };
}

/// <summary>Bytes of one disk.</summary>
/// <param name="Disk">Which, in the order of the Hello.</param>
/// <param name="OffsetBytes">First byte.</param>
/// <param name="LengthBytes">How many.</param>
internal readonly record struct DiskRange(ushort Disk, long OffsetBytes, long LengthBytes);
