using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Hypervisor.Core.State;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Disk;

/// <summary>One version of a write-intent log, as it lies in its file.</summary>
/// <remarks>
/// Little-endian, 128 bytes and the regions, a bit each, in words of u64:
/// <code>
///   0 magic u32 "HVWI"   4 format version u16   6 point count u8   7 zero u8
///   8 disk bytes i64    16 region bytes i64    24 revision u64
///  32 four points: incarnation u64, epoch u64  96 boot UUID  112 zero
/// 124 CRC-32C u32 of everything else
/// </code>
/// </remarks>
/// <param name="Revision">The higher of two whole ones counts.</param>
/// <param name="Points">Points since which every change is in the regions.</param>
/// <param name="Regions">What may have changed.</param>
/// <param name="Boot">
/// Life of the host. After another one it says nothing: what was acknowledged is left out of the regions, but may have
/// been in the host's cache only when it lost power.
/// </param>
internal sealed record WriteIntentSlot(
    ulong Revision, IReadOnlyList<ReplicaPoint> Points, ulong[] Regions, Guid Boot)
{
    /// <summary>Most points.</summary>
    public const int PointsMax = 4;

    private const int HeadBytes = 128, PointsOffset = 32, PointBytes = 16, BootOffset = 96, CrcOffset = 124;
    private const uint Magic = 0x4957_5648; // "HVWI" in memory order
    private const ushort FormatVersion = 2; // 1 did not say of which life of the host it is

    /// <summary>Size of a slot with so many words of regions.</summary>
    public static int Bytes(int words) => HeadBytes + (words * sizeof(ulong));

    /// <summary>Stores it into exactly <see cref="Bytes"/>.</summary>
    public void Write(Span<byte> target, long diskBytes, long regionBytes)
    {
        target.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(target, Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(target[4..], FormatVersion);
        target[6] = (byte)Points.Count;
        BinaryPrimitives.WriteInt64LittleEndian(target[8..], diskBytes);
        BinaryPrimitives.WriteInt64LittleEndian(target[16..], regionBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(target[24..], Revision);
        for (int i = 0; i < Points.Count; i++)
        {
            Span<byte> point = target[(PointsOffset + (i * PointBytes))..];
            BinaryPrimitives.WriteUInt64LittleEndian(point, Points[i].Incarnation);
            BinaryPrimitives.WriteUInt64LittleEndian(point[8..], Points[i].Epoch);
        }

        _ = Boot.TryWriteBytes(target[BootOffset..]);
        for (int i = 0; i < Regions.Length; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(target[(HeadBytes + (i * sizeof(ulong)))..], Regions[i]);
        }

        BinaryPrimitives.WriteUInt32LittleEndian(target[CrcOffset..], Checksum(target));
    }

    /// <summary>Reads one; null when it is none, is damaged, or is of another disk or life of the host.</summary>
    public static WriteIntentSlot? Read(ReadOnlySpan<byte> source, long diskBytes, long regionBytes, Guid boot)
    {
        if (BinaryPrimitives.ReadUInt32LittleEndian(source) != Magic
            || BinaryPrimitives.ReadUInt16LittleEndian(source[4..]) != FormatVersion
            || source[6] > PointsMax
            || BinaryPrimitives.ReadInt64LittleEndian(source[8..]) != diskBytes
            || BinaryPrimitives.ReadInt64LittleEndian(source[16..]) != regionBytes
            || new Guid(source.Slice(BootOffset, 16)) != boot
            || BinaryPrimitives.ReadUInt32LittleEndian(source[CrcOffset..]) != Checksum(source))
        {
            return null;
        }

        var points = new ReplicaPoint[source[6]];
        for (int i = 0; i < points.Length; i++)
        {
            ReadOnlySpan<byte> point = source[(PointsOffset + (i * PointBytes))..];
            points[i] = new ReplicaPoint(
                BinaryPrimitives.ReadUInt64LittleEndian(point), BinaryPrimitives.ReadUInt64LittleEndian(point[8..]));
        }

        ulong[] regions = new ulong[(source.Length - HeadBytes) / sizeof(ulong)];
        for (int i = 0; i < regions.Length; i++)
        {
            regions[i] = BinaryPrimitives.ReadUInt64LittleEndian(source[(HeadBytes + (i * sizeof(ulong)))..]);
        }

        return new WriteIntentSlot(BinaryPrimitives.ReadUInt64LittleEndian(source[24..]), points, regions, boot);
    }

    private static uint Checksum(ReadOnlySpan<byte> slot)
        => ~Crc32C.Append(Crc32C.Append(Crc32C.Start, slot[..CrcOffset]), slot[HeadBytes..]);
}
