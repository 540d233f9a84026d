using System;
using System.Globalization;

namespace Hypervisor.Backends.Network;

/// <summary>An Ethernet address.</summary>
/// <param name="Value">Its 48 bits; the first byte is the most significant.</param>
public readonly record struct MacAddress(ulong Value)
{
    /// <summary>Length of an address.</summary>
    public const int Bytes = 6;

    /// <summary>The address of everybody.</summary>
    public static MacAddress Broadcast => new(0xFFFF_FFFF_FFFF);

    /// <summary>Whether it names a group, as the broadcast address does.</summary>
    public bool IsGroup => ((Value >> 40) & 1) != 0;

    /// <summary>Reads six bytes.</summary>
    public static MacAddress Read(ReadOnlySpan<byte> bytes)
    {
        ulong value = 0;
        foreach (byte part in bytes[..Bytes])
        {
            value = (value << 8) | part;
        }

        return new MacAddress(value);
    }

    /// <summary>Reads six pairs of hex digits with colons between them.</summary>
    public static bool TryParse(string text, out MacAddress address)
    {
        address = default;
        string[] parts = text.Split(':');
        ulong value = 0;
        foreach (string part in parts)
        {
            if (part.Length != 2
                || !byte.TryParse(part, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte one))
            {
                return false;
            }

            value = (value << 8) | one;
        }

        address = new MacAddress(value);
        return parts.Length == Bytes;
    }

    /// <summary>Writes six bytes.</summary>
    public void Write(Span<byte> bytes)
    {
        for (int i = 0; i < Bytes; i++)
        {
            bytes[i] = (byte)(Value >> (40 - (i * 8)));
        }
    }

    /// <inheritdoc/>
    public override string ToString()
    {
        Span<byte> bytes = stackalloc byte[Bytes];
        Write(bytes);
        return string.Create(CultureInfo.InvariantCulture,
            $"{bytes[0]:x2}:{bytes[1]:x2}:{bytes[2]:x2}:{bytes[3]:x2}:{bytes[4]:x2}:{bytes[5]:x2}");
    }
}
