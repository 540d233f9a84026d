using System;
using System.Security.Cryptography;

namespace Hypervisor.Replication.Wire;

/// <summary>
/// What a range of a disk has in it at this place of the full copy, for a standby that may have the same.
/// </summary>
/// <remarks>
/// <code>disk u16 | offset i64 | length i64 | SHA-256, 32 bytes</code>
/// A digest that cannot be forged: what is on the disk is the guest's, and its users', choice.
/// </remarks>
internal sealed class DiskDigestMessage : Message
{
    /// <summary>Most bytes of a range: the standby reads it in one go.</summary>
    public const int RangeBytesMax = 256 << 10;

    /// <inheritdoc/>
    public override MessageKind Kind => MessageKind.DiskDigest;

    /// <inheritdoc/>
    public override int FieldBytes => 18 + SHA256.HashSizeInBytes;

    /// <summary>Which disk, in the order of the Hello.</summary>
    public required ushort Disk { get; init; }

    /// <summary>First byte.</summary>
    public required long OffsetBytes { get; init; }

    /// <summary>Bytes in the range.</summary>
    public required long LengthBytes { get; init; }

    /// <summary>SHA-256 of the range.</summary>
    public required ReadOnlyMemory<byte> Digest { get; init; }

    /// <inheritdoc/>
    public override void WriteFields(Span<byte> target)
    {
        var writer = new WireWriter(target);
        writer.U16(Disk);
        writer.Size(OffsetBytes);
        writer.Size(LengthBytes);
        writer.Raw(Digest.Span);
    }

    internal static DiskDigestMessage Read(ref WireReader reader)
    {
        var message = new DiskDigestMessage
        {
            Disk = reader.U16("disk"),
            OffsetBytes = reader.Size("offset"),
            LengthBytes = reader.Size("length"),
            Digest = reader.Raw("digest", SHA256.HashSizeInBytes).ToArray(),
        };
        return message.LengthBytes is > 0 and <= RangeBytesMax
            ? message
            : throw reader.Bad("length", $"{message.LengthBytes}, must be 1 to {RangeBytesMax}");
    }
}
