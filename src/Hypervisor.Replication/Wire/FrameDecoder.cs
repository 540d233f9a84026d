using System;
using Hypervisor.Core.State;

namespace Hypervisor.Replication.Wire;

/// <summary>Reads frames of one connection in one direction: header first, then a payload of bounded length.</summary>
/// <remarks>
/// Any exception means that the connection is to be closed: after a bad frame nothing can be trusted.
/// </remarks>
internal sealed class FrameDecoder
{
    private ulong _nextSequence;

    /// <summary>Checks <see cref="FrameHeader.Bytes"/> bytes, before any payload is received or allocated.</summary>
    /// <exception cref="WireFormatException">Damage, another protocol, or a frame out of order.</exception>
    public FrameHeader DecodeHeader(ReadOnlySpan<byte> source)
    {
        FrameHeader header = FrameHeader.Read(source);
        if (header.Sequence != _nextSequence)
        {
            throw new WireFormatException($"frame sequence is {header.Sequence}, must be {_nextSequence}");
        }

        _nextSequence++;
        return header;
    }

    /// <summary>Turns a payload into a message that keeps the bulk by reference.</summary>
    /// <param name="header">The header that announced it.</param>
    /// <param name="payload">Exactly its bytes.</param>
    /// <param name="owner">Disposed when the message is released; on an exception it stays the caller's.</param>
    /// <exception cref="WireFormatException">Damage, or a field out of range.</exception>
    public static Message DecodePayload(in FrameHeader header, ReadOnlyMemory<byte> payload, IDisposable? owner)
    {
        if (payload.Length != header.PayloadBytes)
        {
            throw new WireFormatException(
                $"{header.Kind} payload has {payload.Length} bytes, must have {header.PayloadBytes}");
        }

        uint checksum = ~Crc32C.Append(Crc32C.Start, payload.Span);
        if (checksum != header.PayloadChecksum)
        {
            throw new WireFormatException(
                $"{header.Kind} payload CRC is 0x{checksum:X}, must be 0x{header.PayloadChecksum:X}");
        }

        var reader = new WireReader(payload.Span, header.Kind);
        Message message = Read(header.Kind, ref reader);
        if (IsBulk(header.Kind))
        {
            message.Attach(payload[reader.Position..], owner);
        }
        else
        {
            reader.End();
            owner?.Dispose();
        }

        message.Incarnation = header.Incarnation;
        message.Epoch = header.Epoch;
        message.KnownChecksum = checksum;
        return message;
    }

    private static Message Read(MessageKind kind, ref WireReader reader) => kind switch
    {
        MessageKind.Hello => HelloMessage.Read(ref reader),
        MessageKind.Welcome => WelcomeMessage.Read(ref reader),
        MessageKind.Refusal => RefusalMessage.Read(ref reader),
        MessageKind.RamBlock => RamBlockMessage.Read(ref reader),
        MessageKind.DiskBlock => DiskBlockMessage.Read(ref reader),
        MessageKind.DiskWrite => DiskWriteMessage.Read(ref reader),
        MessageKind.Section => new SectionMessage(),
        MessageKind.Output => OutputMessage.Read(ref reader),
        MessageKind.EpochEnd => EpochEndMessage.Read(ref reader),
        MessageKind.EpochAck => EpochAckMessage.Read(ref reader),
        MessageKind.FullCopyDone => FullCopyDoneMessage.Read(ref reader),
        MessageKind.FullCopyAck => new FullCopyAckMessage(),
        MessageKind.Heartbeat => HeartbeatMessage.Read(ref reader),
        MessageKind.HeartbeatReply => HeartbeatReplyMessage.Read(ref reader),
        MessageKind.PlannedEnd => PlannedEndMessage.Read(ref reader),
        MessageKind.PlannedEndAck => new PlannedEndAckMessage(),
        MessageKind.Abort => AbortMessage.Read(ref reader),
        MessageKind.DiskDigest => DiskDigestMessage.Read(ref reader),
        MessageKind.DiskAnswer => DiskAnswerMessage.Read(ref reader),
        MessageKind.Scrub => ScrubMessage.Read(ref reader),
        MessageKind.SwitchOver => SwitchOverMessage.Read(ref reader),
    };

    private static bool IsBulk(MessageKind kind) => kind switch
    {
        MessageKind.RamBlock or MessageKind.DiskBlock or MessageKind.DiskWrite => true,
        MessageKind.Section or MessageKind.Output or MessageKind.Scrub => true,
        MessageKind.Hello or MessageKind.Welcome or MessageKind.Refusal => false,
        MessageKind.EpochEnd or MessageKind.EpochAck or MessageKind.FullCopyDone or MessageKind.FullCopyAck => false,
        MessageKind.Heartbeat or MessageKind.HeartbeatReply or MessageKind.DiskDigest => false,
        MessageKind.DiskAnswer or MessageKind.SwitchOver => false,
        MessageKind.PlannedEnd or MessageKind.PlannedEndAck or MessageKind.Abort => false,
    };
}
