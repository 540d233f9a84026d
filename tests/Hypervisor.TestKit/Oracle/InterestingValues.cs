using System;
using System.Buffers.Binary;

namespace Hypervisor.TestKit.Oracle;

/// <summary>Random values with a liking for edges.</summary>
internal sealed class InterestingValues(Random random)
{
    private static readonly ulong[] s_integers =
    [
        0, 1, 2, 7, 8, 15, 16, 31, 32, 63, 64, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000,
        0xFFFF_FFFF, 0x7FFF_FFFF_FFFF_FFFF, 0x8000_0000_0000_0000, ulong.MaxValue, 0xFFFF_FFFF_8000_0000,
        0x0000_7FFF_FFFF_FFFF, 0x0000_8000_0000_0000, 0xAAAA_AAAA_AAAA_AAAA,
    ];

    private static readonly ulong[] s_doubles =
    [
        0, 0x8000_0000_0000_0000, 0x3FF0_0000_0000_0000, 0xBFF0_0000_0000_0000, 0x7FF0_0000_0000_0000,
        0xFFF0_0000_0000_0000, 0x7FF8_0000_0000_0000, 0x7FF0_0000_0000_0001, 1, 0x000F_FFFF_FFFF_FFFF,
        0x0010_0000_0000_0000, 0x7FEF_FFFF_FFFF_FFFF, 0x41DF_FFFF_FFC0_0000, 0xC1E0_0000_0000_0000,
        0x43E0_0000_0000_0000, 0x3FE0_0000_0000_0000, 0x4008_0000_0000_0000,
    ];

    private static readonly uint[] s_singles =
    [
        0, 0x8000_0000, 0x3F80_0000, 0xBF80_0000, 0x7F80_0000, 0xFF80_0000, 0x7FC0_0000, 0x7F80_0001, 1, 0x007F_FFFF,
        0x0080_0000, 0x7F7F_FFFF, 0x4F00_0000, 0xCF00_0000, 0x5F00_0000, 0x3F00_0000, 0x4040_0000,
    ];

    /// <summary>A general register.</summary>
    internal ulong Integer() => random.Next(4) switch
    {
        0 => s_integers[random.Next(s_integers.Length)],
        1 => s_integers[random.Next(s_integers.Length)] + (ulong)random.Next(-3, 4),
        2 => (ulong)random.NextInt64(long.MinValue, long.MaxValue) >> random.Next(64),
        _ => (ulong)random.NextInt64(long.MinValue, long.MaxValue),
    };

    /// <summary>Fills whole 8-byte words: integers, doubles, singles.</summary>
    internal void Fill(Span<byte> target)
    {
        int kind = random.Next(5);
        for (int at = 0; at < target.Length; at += 8)
        {
            ulong word = (kind == 4 ? random.Next(4) : kind) switch
            {
                0 => Integer(),
                1 => Double(),
                2 => Single() | ((ulong)Single() << 32),
                _ => (ulong)random.NextInt64(long.MinValue, long.MaxValue),
            };
            BinaryPrimitives.WriteUInt64LittleEndian(target[at..], word);
        }
    }

    /// <summary>An x87 register: 10 bytes.</summary>
    internal void FillExtended(Span<byte> target)
    {
        ulong significand = random.Next(3) switch
        {
            0 => 0x8000_0000_0000_0000,
            1 => Integer() | 0x8000_0000_0000_0000,
            _ => Integer(),
        };
        ushort exponent = random.Next(6) switch
        {
            0 => 0,
            1 => 0x7FFF,
            2 => (ushort)random.Next(0x7FFF),
            _ => (ushort)(0x3FFF + random.Next(-70, 71)),
        };
        BinaryPrimitives.WriteUInt64LittleEndian(target, random.Next(12) == 0 ? 0 : significand);
        BinaryPrimitives.WriteUInt16LittleEndian(target[8..], (ushort)(exponent | (random.Next(2) << 15)));
    }

    private ulong Double() => random.Next(3) switch
    {
        0 => s_doubles[random.Next(s_doubles.Length)],
        1 => s_doubles[random.Next(s_doubles.Length)] + (ulong)random.Next(-2, 3),
        _ => (ulong)BitConverter.DoubleToInt64Bits((random.NextDouble() - 0.5) * Math.Pow(2, random.Next(-40, 70))),
    };

    private uint Single() => random.Next(3) switch
    {
        0 => s_singles[random.Next(s_singles.Length)],
        1 => s_singles[random.Next(s_singles.Length)] + (uint)random.Next(-2, 3),
        _ => BitConverter.SingleToUInt32Bits((float)((random.NextDouble() - 0.5) * Math.Pow(2, random.Next(-40, 70)))),
    };
}
