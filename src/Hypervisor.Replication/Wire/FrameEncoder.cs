using System;
using Hypervisor.Core.State;

namespace Hypervisor.Replication.Wire;

/// <summary>
/// Writes frames of one connection in one direction: it counts the sequence. Owned by the sending thread.
/// </summary>
internal sealed class FrameEncoder
{
    private ulong _nextSequence;

    /// <summary>Bytes that <see cref="EncodeHead"/> needs for <paramref name="message"/>.</summary>
    public static int HeadBytes(Message message) => FrameHeader.Bytes + message.FieldBytes;

    /// <summary>Stores header and fields; <see cref="Message.Bulk"/> follows on the wire from where it lies.</summary>
    /// <returns>Bytes stored.</returns>
    public int EncodeHead(Message message, Span<byte> target)
    {
        int fieldBytes = message.FieldBytes;
        Span<byte> fields = target.Slice(FrameHeader.Bytes, fieldBytes);
        message.WriteFields(fields);
        uint checksum = message.KnownChecksum
            ?? ~Crc32C.Append(Crc32C.Append(Crc32C.Start, fields), message.Bulk.Span);
        var header = new FrameHeader(
            message.Kind, message.Incarnation, message.Epoch, _nextSequence++, message.PayloadBytes, checksum);
        header.Write(target);
        return FrameHeader.Bytes + fieldBytes;
    }
}
