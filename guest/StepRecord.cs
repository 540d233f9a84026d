using System;
using System.Buffers.Binary;

namespace Hypervisor.Guest;

/// <summary>The 512 bytes that the counting guest writes per step and disk.</summary>
/// <remarks>
/// Little-endian:
/// <code>
/// 000 magic u64 "HVRECORD" | 008 step u64, from 1 | 010 disk u32 | 014 version u32 = 1 | 018 slot u64
/// 020 fill: word n at n × 8 is step × Multiplier + n | 1F8 checksum u64: FNV-1a over the 63 words before it
/// </code>
/// </remarks>
public static class StepRecord
{
    /// <summary>Size, one sector.</summary>
    public const int Bytes = 512;

    /// <summary>Slots unless slots= on the guest's command line says otherwise.</summary>
    public const int SlotsDefault = 1024;

    internal const ulong Magic = 0x4452_4F43_4552_5648; // "HVRECORD"
    internal const uint Version = 1;
    internal const int FillStart = 0x20;
    internal const int ChecksumOffset = 0x1F8;
    internal const ulong Multiplier = 0x9E37_79B9_7F4A_7C15; // 2^64 / golden ratio: neighbouring steps share no bytes
    internal const ulong HashStart = 0xCBF2_9CE4_8422_2325;
    internal const ulong HashPrime = 0x0000_0100_0000_01B3;

    /// <summary>Writes the record of a step, as the guest does.</summary>
    public static void Write(Span<byte> target, ulong step, uint disk, ulong slot)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(target, Magic);
        BinaryPrimitives.WriteUInt64LittleEndian(target[0x08..], step);
        BinaryPrimitives.WriteUInt32LittleEndian(target[0x10..], disk);
        BinaryPrimitives.WriteUInt32LittleEndian(target[0x14..], Version);
        BinaryPrimitives.WriteUInt64LittleEndian(target[0x18..], slot);
        for (int offset = FillStart; offset < ChecksumOffset; offset += sizeof(ulong))
        {
            BinaryPrimitives.WriteUInt64LittleEndian(target[offset..], unchecked((step * Multiplier) + (ulong)(offset / 8)));
        }

        BinaryPrimitives.WriteUInt64LittleEndian(target[ChecksumOffset..], Checksum(target));
    }

    /// <summary>Takes a record apart. False unless every byte is as written for the step that it names.</summary>
    public static bool TryRead(ReadOnlySpan<byte> record, out ulong step, out uint disk, out ulong slot)
    {
        step = BinaryPrimitives.ReadUInt64LittleEndian(record[0x08..]);
        disk = BinaryPrimitives.ReadUInt32LittleEndian(record[0x10..]);
        slot = BinaryPrimitives.ReadUInt64LittleEndian(record[0x18..]);
        Span<byte> expected = stackalloc byte[Bytes];
        Write(expected, step, disk, slot);
        return record[..Bytes].SequenceEqual(expected);
    }

    private static ulong Checksum(ReadOnlySpan<byte> record)
    {
        ulong hash = HashStart;
        for (int offset = 0; offset < ChecksumOffset; offset += sizeof(ulong))
        {
            hash = unchecked((hash ^ BinaryPrimitives.ReadUInt64LittleEndian(record[offset..])) * HashPrime);
        }

        return hash;
    }
}
