using System;
using System.Buffers.Binary;
using System.Numerics;

namespace Hypervisor.Core.State;

/// <summary>CRC-32C (Castagnoli, RFC 3720 appendix B.4), eight bytes per step on the CPU's own instruction.</summary>
public static class Crc32C
{
    /// <summary>Value before the first byte.</summary>
    public const uint Start = ~0u;

    /// <summary>Extends <paramref name="crc"/>, at first <see cref="Start"/>, over <paramref name="data"/>.</summary>
    public static uint Append(uint crc, ReadOnlySpan<byte> data)
    {
        while (data.Length >= sizeof(ulong))
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(data));
            data = data[sizeof(ulong)..];
        }

        foreach (byte b in data)
        {
            crc = BitOperations.Crc32C(crc, b);
        }

        return crc;
    }
}
