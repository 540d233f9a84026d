using System;
using System.Buffers.Binary;
using Hypervisor.Core.State;

namespace Hypervisor.Replication.Wire;

/// <summary>
/// Writes frames of one connection in one direction: it counts the sequence. Owned by the sending thread.
/// </summary>
internal sealed class FrameEncoder
{
    private ulong _nextSequence;

    /// <summary>Bytes of header and fields for <paramref name="message"/>.</summary>
    public static int HeadBytes(Message message) => FrameHeader.Bytes + message.FieldBytes;

    /// <summary>Stores header and fields; the bulk follows on the wire from where it lies.</summary>
    /// <param name="message">Whose frame begins.</param>
    /// <param name="target">Takes <see cref="HeadBytes"/> and the prefix of a packed payload.</param>
    /// <param name="packedBytes">Length of what <see cref="PackedPayload.Pack"/> made of the bulk; 0: nothing.</param>
    /// <returns>Bytes stored.</returns>
    public int EncodeHead(Message message, Span<byte> target, int packedBytes = 0)
    {
        int fieldBytes = message.FieldBytes;
        bool isPacked = packedBytes > 0;
        int prefix = isPacked ? PackedPayload.PrefixBytes : 0;
        if (isPacked)
        {
            BinaryPrimitives.WriteInt32LittleEndian(target[FrameHeader.Bytes..], message.PayloadBytes);
        }

        Span<byte> fields = target.Slice(FrameHeader.Bytes + prefix, fieldBytes);
        message.WriteFields(fields);
        uint checksum = message.KnownChecksum
            ?? ~Crc32C.Append(Crc32C.Append(Crc32C.Start, fields), message.Bulk.Span);
        var header = new FrameHeader(
            message.Kind,
            message.Incarnation,
            message.Epoch,
            _nextSequence++,
            isPacked ? prefix + fieldBytes + packedBytes : message.PayloadBytes,
            checksum,
            isPacked);
        header.Write(target);
        return FrameHeader.Bytes + prefix + fieldBytes;
    }
}
