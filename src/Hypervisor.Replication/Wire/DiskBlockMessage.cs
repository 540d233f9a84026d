using System;

namespace Hypervisor.Replication.Wire;

/// <summary>A range of a disk as it was read during the full copy.</summary>
/// <remarks><code>disk u16 | is zero u8 | offset i64 | length i64 | bulk: length bytes, none when zero</code></remarks>
internal sealed class DiskBlockMessage : Message
{
    /// <summary>Size of the fields.</summary>
    public const int FieldBytesFixed = 19;

    /// <inheritdoc/>
    public override MessageKind Kind => MessageKind.DiskBlock;

    /// <inheritdoc/>
    public override int FieldBytes => FieldBytesFixed;

    /// <summary>Which disk, in the order of the Hello.</summary>
    public required ushort Disk { get; init; }

    /// <summary>Whether the range reads as zeroes; then there is no bulk.</summary>
    public required bool IsZero { get; init; }

    /// <summary>First byte.</summary>
    public required long OffsetBytes { get; init; }

    /// <summary>Bytes in the range.</summary>
    public required long LengthBytes { get; init; }

    /// <inheritdoc/>
    public override void WriteFields(Span<byte> target)
    {
        var writer = new WireWriter(target);
        writer.U16(Disk);
        writer.U8(IsZero ? (byte)1 : (byte)0);
        writer.Size(OffsetBytes);
        writer.Size(LengthBytes);
    }

    internal static DiskBlockMessage Read(ref WireReader reader)
    {
        var message = new DiskBlockMessage
        {
            Disk = reader.U16("disk"),
            IsZero = reader.Flag("is zero"),
            OffsetBytes = reader.Size("offset"),
            LengthBytes = reader.Size("length"),
        };
        long expected = message.IsZero ? 0 : message.LengthBytes;
        return reader.Remaining == expected
            ? message
            : throw reader.Bad("data", $"{reader.Remaining} bytes, must be {expected}");
    }
}
