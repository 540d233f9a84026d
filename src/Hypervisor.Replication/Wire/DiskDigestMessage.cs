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

    /// <summary>Which range.</summary>
    public required DiskRange Range { get; init; }

    /// <summary>SHA-256 of the range.</summary>
    public required ReadOnlyMemory<byte> Digest { get; init; }

    /// <inheritdoc/>
    public override void WriteFields(Span<byte> target)
    {
        var writer = new WireWriter(target);
        Range.Write(ref writer);
        writer.Raw(Digest.Span);
    }

    internal static DiskDigestMessage Read(ref WireReader reader)
    {
        var message = new DiskDigestMessage
        {
            Range = DiskRange.Read(ref reader),
            Digest = reader.Raw("digest", SHA256.HashSizeInBytes).ToArray(),
        };
        return message.Range.LengthBytes is > 0 and <= RangeBytesMax
            ? message
            : throw reader.Bad("length", $"{message.Range.LengthBytes}, must be 1 to {RangeBytesMax}");
    }
}
