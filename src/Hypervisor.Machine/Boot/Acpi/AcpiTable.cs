using System;
using System.Buffers.Binary;
using System.Text;

namespace Hypervisor.Machine.Boot.Acpi;

/// <summary>One ACPI table: the common header and a body of fixed length.</summary>
/// <remarks>
/// Spec: ACPI 6.4, section 5.2.6. Header, 36 bytes: signature, length u32, revision u8, checksum u8, OEM ID (6), OEM
/// table ID (8), OEM revision u32, creator ID (4), creator revision u32.
/// </remarks>
internal sealed class AcpiTable
{
    /// <summary>Bytes of the header.</summary>
    public const int HeaderBytes = 36;

    private readonly byte[] _bytes;

    /// <summary>A table of <paramref name="lengthBytes"/>, header included, with a zeroed body.</summary>
    public AcpiTable(string signature, byte revision, int lengthBytes)
    {
        _bytes = new byte[lengthBytes];
        Encoding.ASCII.GetBytes(signature, _bytes);
        U32(4, (uint)lengthBytes);
        _bytes[8] = revision;
        "HVBOX "u8.CopyTo(_bytes.AsSpan(10));
        "HVMACHIN"u8.CopyTo(_bytes.AsSpan(16));
        U32(24, 1);
        "HVCS"u8.CopyTo(_bytes.AsSpan(28));
        U32(32, 1);
    }

    /// <summary>Writes a byte.</summary>
    public void U8(int offset, int value) => _bytes[offset] = checked((byte)value);

    /// <summary>Writes a little-endian 16-bit field.</summary>
    public void U16(int offset, int value)
        => BinaryPrimitives.WriteUInt16LittleEndian(_bytes.AsSpan(offset), checked((ushort)value));

    /// <summary>Writes a little-endian 32-bit field.</summary>
    public void U32(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(_bytes.AsSpan(offset), value);

    /// <summary>Writes a little-endian 64-bit field.</summary>
    public void U64(int offset, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(_bytes.AsSpan(offset), value);

    /// <summary>Copies bytes in.</summary>
    public void Bytes(int offset, ReadOnlySpan<byte> bytes) => bytes.CopyTo(_bytes.AsSpan(offset));

    /// <summary>Writes a generic address structure. Spec: ACPI 6.4, section 5.2.3.2.</summary>
    public void Address(int offset, bool isPort, int bits, ulong address)
    {
        U8(offset, isPort ? 1 : 0);
        U8(offset + 1, bits);
        U8(offset + 3, bits switch { 8 => 1, 16 => 2, 32 => 3, _ => 0 }); // access size
        U64(offset + 4, address);
    }

    /// <summary>The table with its checksum: all bytes add up to 0.</summary>
    public byte[] ToArray()
    {
        _bytes[9] = 0;
        _bytes[9] = Checksum(_bytes);
        return _bytes;
    }

    /// <summary>The byte that makes the sum of <paramref name="bytes"/> zero.</summary>
    public static byte Checksum(ReadOnlySpan<byte> bytes)
    {
        byte sum = 0;
        foreach (byte b in bytes)
        {
            sum += b;
        }

        return (byte)-sum;
    }
}
