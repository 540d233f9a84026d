using System;
using System.Buffers.Binary;

namespace Hypervisor.Backends.Network;

/// <summary>What is left to do to a frame: a checksum to complete, a packet to cut up.</summary>
/// <remarks>
/// Spec: VIRTIO 1.2, section 5.1.6 (struct virtio_net_hdr), little-endian, 12 bytes:
/// <code>
/// flags u8 (1 needs checksum, 2 data valid) | gso_type u8 | hdr_len u16 | gso_size u16 | csum_start u16 |
/// csum_offset u16 | num_buffers u16
/// </code>
/// </remarks>
/// <param name="Flags"><see cref="NeedsChecksum"/>; others are kept as they are.</param>
/// <param name="GsoType"><see cref="GsoNone"/>, <see cref="GsoTcp4"/>, <see cref="GsoTcp6"/>; with
/// <see cref="GsoEcn"/>.</param>
/// <param name="HeadersBytes">Length of the headers up to the payload; a hint.</param>
/// <param name="SegmentBytes">Most payload in a segment.</param>
/// <param name="ChecksumStart">Offset in the frame at which the sum starts.</param>
/// <param name="ChecksumOffset">Offset from there of the place for the checksum.</param>
public readonly record struct VnetHeader(
    byte Flags,
    byte GsoType,
    ushort HeadersBytes,
    ushort SegmentBytes,
    ushort ChecksumStart,
    ushort ChecksumOffset)
{
    /// <summary>Length of the header.</summary>
    public const int Bytes = 12;

    /// <summary>Flag: the checksum is to be completed.</summary>
    public const byte NeedsChecksum = 1;

    /// <summary>An ordinary frame.</summary>
    public const byte GsoNone = 0;

    /// <summary>TCP over IPv4, to be cut up.</summary>
    public const byte GsoTcp4 = 1;

    /// <summary>TCP over IPv6, to be cut up.</summary>
    public const byte GsoTcp6 = 4;

    /// <summary>Beside one of the two: the TCP header has CWR set, which only the first segment keeps.</summary>
    public const byte GsoEcn = 0x80;

    private const int BufferCountOffset = 10;

    /// <summary>Reads the first ten bytes.</summary>
    public static VnetHeader Read(ReadOnlySpan<byte> bytes) => new(
        bytes[0],
        bytes[1],
        BinaryPrimitives.ReadUInt16LittleEndian(bytes[2..]),
        BinaryPrimitives.ReadUInt16LittleEndian(bytes[4..]),
        BinaryPrimitives.ReadUInt16LittleEndian(bytes[6..]),
        BinaryPrimitives.ReadUInt16LittleEndian(bytes[8..]));

    /// <summary>Writes all twelve bytes.</summary>
    public void Write(Span<byte> bytes, ushort bufferCount)
    {
        bytes[0] = Flags;
        bytes[1] = GsoType;
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[2..], HeadersBytes);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[4..], SegmentBytes);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[6..], ChecksumStart);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[8..], ChecksumOffset);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[BufferCountOffset..], bufferCount);
    }
}
