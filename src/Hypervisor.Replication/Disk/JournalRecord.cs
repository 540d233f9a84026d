using System;
using System.Buffers.Binary;
using Hypervisor.Core.State;

namespace Hypervisor.Replication.Disk;

/// <summary>One record of the standby's journal: something to do to a disk, or the commit of an epoch.</summary>
/// <remarks>
/// Little-endian, 56 bytes, then the data:
/// <code>
///  0 magic u32 "HVJR"    4 format version u8   5 kind u8      6 disk u16
///  8 incarnation u64    16 epoch u64          24 order u32   28 data length u32
/// 32 offset i64         40 length i64         48 data CRC-32C u32   52 CRC-32C u32 of bytes 0 to 51
/// </code>
/// Kind: 2 write, 4 discard, 5 write zeroes, 6 resize to the length, 9 commit.
/// A commit has the count of the epoch's records as its order,
/// and as its
/// length the first byte of the epoch in the segment, so that a stale or torn epoch never passes for a whole one.
/// </remarks>
internal readonly record struct JournalRecord(
    JournalKind Kind,
    ushort Disk,
    ulong Incarnation,
    ulong Epoch,
    uint Order,
    int DataBytes,
    long OffsetBytes,
    long LengthBytes,
    uint DataChecksum)
{
    /// <summary>Size without data.</summary>
    public const int Bytes = 56;

    private const uint Magic = 0x524A_5648; // "HVJR" in memory order
    private const byte FormatVersion = 1;
    private const int ChecksumOffset = 52;

    /// <summary>Stores the record's head.</summary>
    public void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(target, Magic);
        target[4] = FormatVersion;
        target[5] = (byte)Kind;
        BinaryPrimitives.WriteUInt16LittleEndian(target[6..], Disk);
        BinaryPrimitives.WriteUInt64LittleEndian(target[8..], Incarnation);
        BinaryPrimitives.WriteUInt64LittleEndian(target[16..], Epoch);
        BinaryPrimitives.WriteUInt32LittleEndian(target[24..], Order);
        BinaryPrimitives.WriteInt32LittleEndian(target[28..], DataBytes);
        BinaryPrimitives.WriteInt64LittleEndian(target[32..], OffsetBytes);
        BinaryPrimitives.WriteInt64LittleEndian(target[40..], LengthBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(target[48..], DataChecksum);
        BinaryPrimitives.WriteUInt32LittleEndian(target[ChecksumOffset..], Checksum(target));
    }

    /// <summary>Reads a head; false means that the journal ends here, torn or not.</summary>
    public static bool TryRead(ReadOnlySpan<byte> source, out JournalRecord record)
    {
        record = default;
        if (source.Length < Bytes
            || BinaryPrimitives.ReadUInt32LittleEndian(source) != Magic
            || source[4] != FormatVersion
            || BinaryPrimitives.ReadUInt32LittleEndian(source[ChecksumOffset..]) != Checksum(source))
        {
            return false;
        }

        record = new JournalRecord(
            (JournalKind)source[5],
            BinaryPrimitives.ReadUInt16LittleEndian(source[6..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[8..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[16..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[24..]),
            BinaryPrimitives.ReadInt32LittleEndian(source[28..]),
            BinaryPrimitives.ReadInt64LittleEndian(source[32..]),
            BinaryPrimitives.ReadInt64LittleEndian(source[40..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[48..]));
        return record.DataBytes >= 0 && record.OffsetBytes >= 0 && record.LengthBytes >= 0
            && record.Kind is JournalKind.Write or JournalKind.Discard or JournalKind.WriteZeroes
                or JournalKind.Resize or JournalKind.Commit
            && record.DataBytes == (record.Kind == JournalKind.Write ? record.LengthBytes : 0);
    }

    private static uint Checksum(ReadOnlySpan<byte> head) => ~Crc32C.Append(Crc32C.Start, head[..ChecksumOffset]);
}
