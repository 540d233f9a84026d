using System;
using System.Buffers.Binary;
using System.IO;
using Hypervisor.Core.Host;
using Hypervisor.Core.State;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Session;

/// <summary>What the disks of a standby are, written durably beside them (rules 34, 39).</summary>
/// <remarks>
/// Little-endian, 40 bytes:
/// <code>
///  0 magic u32 "HVSM"    4 format version u16    6 phase u8    7 zero u8
///  8 incarnation u64    16 generation u64       24 epoch u64  32 zero u32   36 CRC-32C u32 of bytes 0 to 35
/// </code>
/// </remarks>
/// <param name="Phase">What the disks hold.</param>
/// <param name="Generation">Generation of the runner.</param>
/// <param name="Point">
/// Where the disks stand at least; the journal may hold later epochs of that life. Of an incomplete copy: where they
/// stood before it. Of a promotion: where it started from.
/// </param>
internal readonly record struct StandbyMark(StandbyPhase Phase, ulong Generation, ReplicaPoint Point)
{
    private const int Bytes = 40, CrcOffset = 36;
    private const uint Magic = 0x4D53_5648; // "HVSM" in memory order
    private const ushort FormatVersion = 2; // 1 had no point for an incomplete copy

    /// <summary>Writes it durably.</summary>
    /// <exception cref="IOException">The host refuses; the old mark stands.</exception>
    public void Store(string path)
    {
        Span<byte> bytes = stackalloc byte[Bytes];
        bytes.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[4..], FormatVersion);
        bytes[6] = (byte)Phase;
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], Point.Incarnation);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[16..], Generation);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[24..], Point.Epoch);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[CrcOffset..], Checksum(bytes));
        DurableFile.Replace(path, bytes);
    }

    /// <summary>Reads it; null when there is none.</summary>
    /// <exception cref="IOException">It cannot be read, or is not a mark that this build reads.</exception>
    public static StandbyMark? Load(string path)
    {
        if (!File.Exists(path))
        {
            return null;
        }

        ReadOnlySpan<byte> bytes = File.ReadAllBytes(path);
        if (bytes.Length != Bytes || BinaryPrimitives.ReadUInt32LittleEndian(bytes) != Magic
            || BinaryPrimitives.ReadUInt16LittleEndian(bytes[4..]) != FormatVersion
            || BinaryPrimitives.ReadUInt32LittleEndian(bytes[CrcOffset..]) != Checksum(bytes)
            || bytes[6] is < (byte)StandbyPhase.Incomplete or > (byte)StandbyPhase.Outdated)
        {
            throw new IOException(
                $"{path} is not the mark of a standby, or is damaged; without it the disks are compared as a whole");
        }

        return new StandbyMark(
            (StandbyPhase)bytes[6],
            BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]),
            new ReplicaPoint(
                BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]),
                BinaryPrimitives.ReadUInt64LittleEndian(bytes[24..])));
    }

    private static uint Checksum(ReadOnlySpan<byte> bytes) => ~Crc32C.Append(Crc32C.Start, bytes[..CrcOffset]);
}

/// <summary>What the disks of a standby hold.</summary>
internal enum StandbyPhase : byte
{
    /// <summary>A copy began and did not end: never promoted, but a resync can go on from there.</summary>
    Incomplete = 1,

    /// <summary>The disks of a committed epoch, together with the journal.</summary>
    Complete = 2,

    /// <summary>This side went live from an epoch, or was about to.</summary>
    Promoted = 3,

    /// <summary>The primary went on without this side.</summary>
    Outdated = 4,
}
