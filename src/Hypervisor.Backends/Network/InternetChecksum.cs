using System;
using System.Buffers.Binary;

namespace Hypervisor.Backends.Network;

/// <summary>The checksum of IP, TCP and UDP. Spec: RFC 1071.</summary>
public static class InternetChecksum
{
    /// <summary>Adds bytes to a sum of 16-bit words, big-endian; an odd last byte is padded with zero.</summary>
    public static uint Add(uint sum, ReadOnlySpan<byte> bytes)
    {
        ulong total = sum;
        while (bytes.Length >= sizeof(uint))
        {
            total += BinaryPrimitives.ReadUInt32BigEndian(bytes); // 2^16 is 1 here: halves may be added later
            bytes = bytes[sizeof(uint)..];
        }

        if (bytes.Length >= sizeof(ushort))
        {
            total += BinaryPrimitives.ReadUInt16BigEndian(bytes);
            bytes = bytes[sizeof(ushort)..];
        }

        if (!bytes.IsEmpty)
        {
            total += (uint)bytes[0] << 8;
        }

        return Fold(total);
    }

    /// <summary>The checksum that stands for a sum.</summary>
    public static ushort Finish(uint sum) => (ushort)~Fold(sum);

    private static uint Fold(ulong total)
    {
        while (total >> 16 != 0)
        {
            total = (total & 0xFFFF) + (total >> 16);
        }

        return (uint)total;
    }
}
