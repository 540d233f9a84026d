using System;
using System.Buffers.Binary;
using Hypervisor.Core;
using Hypervisor.Core.State;

namespace Hypervisor.Replication.Failover;

/// <summary>
/// The one record per pair that decides who may run. Changed only by compare-and-swap of the whole record.
/// </summary>
/// <remarks>
/// Little-endian, 92 bytes:
/// <code>
///  0 magic u32 "HVWR"      4 format version u16   6 phase u8   7 is standby in sync u8
///  8 pair UUID            24 revision u64        32 generation u64   40 runner UUID   56 standby UUID
/// 72 incarnation u64      80 outdated since u64  88 CRC-32C u32 of bytes 0 to 87
/// </code>
/// The revision grows by one with every change, so that an old record never comes back (no ABA).
/// </remarks>
/// <param name="PairId">Which pair.</param>
/// <param name="Revision">Number of this version of the record.</param>
/// <param name="Generation">Grows when a side goes live or goes on alone (rule 34).</param>
/// <param name="Runner">Node that may run the guest.</param>
/// <param name="Standby">Node that may take over, when in sync.</param>
/// <param name="Incarnation">Life of the pair in which the standby is in sync.</param>
/// <param name="IsStandbyInSync">Whether the standby may take over.</param>
/// <param name="OutdatedSince">Generation since which the standby is outdated (rule 29); 0 when it is not.</param>
/// <param name="Phase">Whether the guest runs or has ended on purpose.</param>
public sealed record WitnessRecord(
    Guid PairId,
    ulong Revision,
    ulong Generation,
    Guid Runner,
    Guid Standby,
    ulong Incarnation,
    bool IsStandbyInSync,
    ulong OutdatedSince,
    WitnessPhase Phase)
{
    /// <summary>Size on disk.</summary>
    public const int Bytes = 92;

    private const uint Magic = 0x5257_5648; // "HVWR" in memory order
    private const ushort FormatVersion = 1;
    private const int ChecksumOffset = 88;

    /// <summary>Stores the record at the start of <paramref name="target"/>.</summary>
    public void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(target, Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(target[4..], FormatVersion);
        target[6] = (byte)Phase;
        target[7] = IsStandbyInSync ? (byte)1 : (byte)0;
        Check.That(PairId.TryWriteBytes(target[8..]));
        BinaryPrimitives.WriteUInt64LittleEndian(target[24..], Revision);
        BinaryPrimitives.WriteUInt64LittleEndian(target[32..], Generation);
        Check.That(Runner.TryWriteBytes(target[40..]));
        Check.That(Standby.TryWriteBytes(target[56..]));
        BinaryPrimitives.WriteUInt64LittleEndian(target[72..], Incarnation);
        BinaryPrimitives.WriteUInt64LittleEndian(target[80..], OutdatedSince);
        BinaryPrimitives.WriteUInt32LittleEndian(target[ChecksumOffset..], Checksum(target));
    }

    /// <summary>Reads a record.</summary>
    /// <exception cref="StateFormatException">Not a record, damaged, or of another version.</exception>
    public static WitnessRecord Read(ReadOnlySpan<byte> source)
    {
        if (source.Length != Bytes)
        {
            throw new StateFormatException($"witness record has {source.Length} bytes, must have {Bytes}");
        }

        Expect("magic", BinaryPrimitives.ReadUInt32LittleEndian(source), Magic);
        Expect("format version", BinaryPrimitives.ReadUInt16LittleEndian(source[4..]), FormatVersion);
        Expect("CRC", BinaryPrimitives.ReadUInt32LittleEndian(source[ChecksumOffset..]), Checksum(source));
        if (source[6] is < (byte)WitnessPhase.Running or > (byte)WitnessPhase.Ended || source[7] > 1)
        {
            throw new StateFormatException($"witness record has phase {source[6]} and sync flag {source[7]}");
        }

        return new WitnessRecord(
            new Guid(source.Slice(8, 16)),
            BinaryPrimitives.ReadUInt64LittleEndian(source[24..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[32..]),
            new Guid(source.Slice(40, 16)),
            new Guid(source.Slice(56, 16)),
            BinaryPrimitives.ReadUInt64LittleEndian(source[72..]),
            source[7] == 1,
            BinaryPrimitives.ReadUInt64LittleEndian(source[80..]),
            (WitnessPhase)source[6]);
    }

    private static uint Checksum(ReadOnlySpan<byte> record) => ~Crc32C.Append(Crc32C.Start, record[..ChecksumOffset]);

    private static void Expect(string field, uint actual, uint expected)
    {
        if (actual != expected)
        {
            throw new StateFormatException($"witness record {field} is 0x{actual:X}, must be 0x{expected:X}");
        }
    }
}
