using System;
using System.Buffers.Binary;
using Hypervisor.Core.Host;

namespace Hypervisor.Replication.Wire;

/// <summary>The payload of a frame whose bulk is compressed.</summary>
/// <remarks>
/// <code>plain payload length u32 | fields, as in a plain frame | the compressed bulk</code>
/// The CRC in the frame's header is that of the plain payload, so it covers the compressor's work as well.
/// </remarks>
internal static class PackedPayload
{
    /// <summary>The most that is compressed at once; a larger bulk stays plain.</summary>
    public const int BulkBytesMax = 1 << 20;

    /// <summary>The longest packed payload.</summary>
    public const int BytesMax = sizeof(uint) + FieldBytesMax + BulkBytesMax;

    /// <summary>Bytes before the fields.</summary>
    public const int PrefixBytes = sizeof(uint);

    private const int FieldBytesMax = 64;
    private const int BulkBytesMin = 128; // what is smaller saves less than a frame's own header takes
    private const int SavedShare = 16;    // one in so many bytes must be saved, or it stays plain

    /// <summary>Compresses a message's bulk if that is worth it.</summary>
    /// <param name="message">Not changed.</param>
    /// <param name="codec">What compresses.</param>
    /// <param name="target">At least <see cref="BulkBytesMax"/> bytes.</param>
    /// <returns>Bytes of the compressed bulk; 0: it stays plain.</returns>
    public static int Pack(Message message, BlockCodec codec, Span<byte> target)
    {
        int plain = message.Bulk.Length;
        if (plain is < BulkBytesMin or > BulkBytesMax || !IsAllowed(message.Kind))
        {
            return 0;
        }

        return codec.Compress(message.Bulk.Span, target[..(plain - (plain / SavedShare))]);
    }

    /// <summary>Length of the plain payload, checked before anything of that size is taken.</summary>
    /// <exception cref="WireFormatException">The payload is too short, or declares what is not allowed.</exception>
    public static int PlainBytes(MessageKind kind, ReadOnlySpan<byte> payload)
    {
        int fields = FieldBytes(kind);
        if (payload.Length <= PrefixBytes + fields)
        {
            throw new WireFormatException(
                $"packed {kind} payload has {payload.Length} bytes, must have more than {PrefixBytes + fields}");
        }

        uint plain = BinaryPrimitives.ReadUInt32LittleEndian(payload);
        return plain > fields && plain <= fields + BulkBytesMax ? (int)plain : throw new WireFormatException(
            $"packed {kind} declares {plain} bytes, allowed are {fields + 1} to {fields + BulkBytesMax}");
    }

    /// <summary>Restores the plain payload.</summary>
    /// <param name="kind">Of the frame.</param>
    /// <param name="payload">As received.</param>
    /// <param name="codec">What was agreed.</param>
    /// <param name="plain">Of the size that <see cref="PlainBytes"/> gave.</param>
    /// <exception cref="WireFormatException">The bulk is damaged, or of another size.</exception>
    public static void Expand(MessageKind kind, ReadOnlySpan<byte> payload, BlockCodec codec, Span<byte> plain)
    {
        int fields = FieldBytes(kind);
        payload = payload[PrefixBytes..];
        payload[..fields].CopyTo(plain);
        if (!codec.TryExpand(payload[fields..], plain[fields..]))
        {
            throw new WireFormatException(
                $"packed {kind}: {payload.Length - fields} bytes do not expand to {plain.Length - fields}");
        }
    }

    /// <summary>Whether frames of a kind may be packed.</summary>
    public static bool IsAllowed(MessageKind kind) => kind is MessageKind.RamBlock or MessageKind.DiskBlock
        or MessageKind.DiskWrite or MessageKind.Section or MessageKind.Output or MessageKind.Scrub;

    private static int FieldBytes(MessageKind kind) => kind switch
    {
        MessageKind.RamBlock => RamBlockMessage.FieldBytesFixed,
        MessageKind.DiskBlock => DiskBlockMessage.FieldBytesFixed,
        MessageKind.DiskWrite => DiskWriteMessage.FieldBytesFixed,
        MessageKind.Output => OutputMessage.FieldBytesFixed,
        MessageKind.Scrub => ScrubMessage.FieldBytesFixed,
        MessageKind.Section => 0,
        _ => throw new WireFormatException($"{kind} cannot be packed"),
    };
}
