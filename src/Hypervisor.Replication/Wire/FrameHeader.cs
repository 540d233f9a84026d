using System;
using System.Buffers.Binary;
using Hypervisor.Core;
using Hypervisor.Core.State;

namespace Hypervisor.Replication.Wire;

/// <summary>The fixed head of every frame.</summary>
/// <remarks>
/// Little-endian, 44 bytes:
/// <code>
///  0 magic u32 "HVFT"        4 protocol version u16     6 kind u8     7 flags u8
///  8 incarnation u64        16 epoch u64               24 sequence u64, from 0 per connection and direction
/// 32 payload length u32     36 payload CRC-32C u32     40 CRC-32C u32 of bytes 0 to 39
/// </code>
/// Flags: 1 = the payload is packed (<see cref="PackedPayload"/>); its CRC is that of the plain payload.
/// </remarks>
internal readonly record struct FrameHeader(
    MessageKind Kind,
    ulong Incarnation,
    ulong Epoch,
    ulong Sequence,
    int PayloadBytes,
    uint PayloadChecksum,
    bool IsPacked = false)
{
    /// <summary>Size of the head.</summary>
    public const int Bytes = 44;

    /// <summary>The only protocol version that this build speaks.</summary>
    public const ushort ProtocolVersion = 5;

    private const byte PackedFlag = 1;
    private const uint Magic = 0x5446_5648; // "HVFT" in memory order
    private const int ChecksumOffset = 40;

    /// <summary>Stores the head at the start of <paramref name="target"/>.</summary>
    public void Write(Span<byte> target)
    {
        Check.That(PayloadBytes >= 0 && PayloadBytes <= BytesMax(Kind, IsPacked));
        BinaryPrimitives.WriteUInt32LittleEndian(target, Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(target[4..], ProtocolVersion);
        target[6] = (byte)Kind;
        target[7] = IsPacked ? PackedFlag : (byte)0;
        BinaryPrimitives.WriteUInt64LittleEndian(target[8..], Incarnation);
        BinaryPrimitives.WriteUInt64LittleEndian(target[16..], Epoch);
        BinaryPrimitives.WriteUInt64LittleEndian(target[24..], Sequence);
        BinaryPrimitives.WriteInt32LittleEndian(target[32..], PayloadBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(target[36..], PayloadChecksum);
        BinaryPrimitives.WriteUInt32LittleEndian(target[ChecksumOffset..], Checksum(target));
    }

    /// <summary>Reads and checks a head; nothing of the payload is needed or trusted yet.</summary>
    /// <exception cref="WireFormatException">A field is not what this build accepts.</exception>
    public static FrameHeader Read(ReadOnlySpan<byte> source)
    {
        if (source.Length < Bytes)
        {
            throw new WireFormatException($"frame header has {source.Length} bytes, must have {Bytes}");
        }

        // Magic and version first: another protocol, or another version of ours, gets the text that helps most.
        Expect("magic", BinaryPrimitives.ReadUInt32LittleEndian(source), Magic);
        Expect("protocol version", BinaryPrimitives.ReadUInt16LittleEndian(source[4..]), ProtocolVersion);
        Expect("header CRC", BinaryPrimitives.ReadUInt32LittleEndian(source[ChecksumOffset..]), Checksum(source));
        bool isPacked = source[7] == PackedFlag;
        Expect("flags", source[7], isPacked ? PackedFlag : 0u);

        var kind = (MessageKind)source[6];
        if (kind is < MessageKind.Hello or > MessageKind.SwitchOver)
        {
            throw new WireFormatException(
                $"frame kind is {source[6]}, allowed are {(int)MessageKind.Hello} to {(int)MessageKind.SwitchOver}");
        }

        uint length = BinaryPrimitives.ReadUInt32LittleEndian(source[32..]);
        if (isPacked && !PackedPayload.IsAllowed(kind))
        {
            throw new WireFormatException($"{kind} is packed, which only bulk may be");
        }

        if (length > (uint)BytesMax(kind, isPacked))
        {
            throw new WireFormatException(
                $"{kind} payload length is {length}, at most {BytesMax(kind, isPacked)} is allowed");
        }

        return new FrameHeader(
            kind,
            BinaryPrimitives.ReadUInt64LittleEndian(source[8..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[16..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[24..]),
            (int)length,
            BinaryPrimitives.ReadUInt32LittleEndian(source[36..]),
            isPacked);
    }

    private static int BytesMax(MessageKind kind, bool isPacked)
        => isPacked ? PackedPayload.BytesMax : MessageLimits.PayloadBytesMax(kind);

    private static uint Checksum(ReadOnlySpan<byte> header) => ~Crc32C.Append(Crc32C.Start, header[..ChecksumOffset]);

    private static void Expect(string field, uint actual, uint expected)
    {
        if (actual != expected)
        {
            throw new WireFormatException($"frame {field} is 0x{actual:X}, must be 0x{expected:X}");
        }
    }
}
