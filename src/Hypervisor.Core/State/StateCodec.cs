using System;
using System.Buffers.Binary;

namespace Hypervisor.Core.State;

/// <summary>Carries fields between a component and one section payload. Little-endian, packed, untyped.</summary>
/// <remarks>One method serves both directions, so a component cannot save in one order and load in another.</remarks>
public ref struct StateCodec
{
    private readonly Span<byte> _payload;
    private readonly ushort _version;

    private StateCodec(Span<byte> payload, ushort version, bool isSaving)
    {
        _payload = payload;
        _version = version;
        IsSaving = isSaving;
    }

    /// <summary>True while fields flow from the component into the payload.</summary>
    public bool IsSaving { get; }

    /// <summary>Bytes moved so far.</summary>
    public int Position { get; private set; }

    /// <summary>A codec that fills <paramref name="payload"/> in the component's current format.</summary>
    public static StateCodec Saving(Span<byte> payload, ushort version) => new(payload, version, isSaving: true);

    /// <summary>A codec that loads <paramref name="payload"/>, written by format <paramref name="version"/>.</summary>
    public static StateCodec Loading(Span<byte> payload, ushort version) => new(payload, version, isSaving: false);

    /// <summary>Whether the payload has the fields that <paramref name="version"/> introduced.</summary>
    public readonly bool Since(ushort version) => _version >= version;

    /// <summary>Moves one byte.</summary>
    public void U8(ref byte value)
    {
        Span<byte> slot = Take(sizeof(byte));
        if (IsSaving)
        {
            slot[0] = value;
        }
        else
        {
            value = slot[0];
        }
    }

    /// <summary>Moves one 16-bit field.</summary>
    public void U16(ref ushort value)
    {
        Span<byte> slot = Take(sizeof(ushort));
        if (IsSaving)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(slot, value);
        }
        else
        {
            value = BinaryPrimitives.ReadUInt16LittleEndian(slot);
        }
    }

    /// <summary>Moves one 32-bit field.</summary>
    public void U32(ref uint value)
    {
        Span<byte> slot = Take(sizeof(uint));
        if (IsSaving)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(slot, value);
        }
        else
        {
            value = BinaryPrimitives.ReadUInt32LittleEndian(slot);
        }
    }

    /// <summary>Moves one 64-bit field.</summary>
    public void U64(ref ulong value)
    {
        Span<byte> slot = Take(sizeof(ulong));
        if (IsSaving)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(slot, value);
        }
        else
        {
            value = BinaryPrimitives.ReadUInt64LittleEndian(slot);
        }
    }

    /// <summary>Moves one 32-bit field.</summary>
    public void I32(ref int value)
    {
        Span<byte> slot = Take(sizeof(int));
        if (IsSaving)
        {
            BinaryPrimitives.WriteInt32LittleEndian(slot, value);
        }
        else
        {
            value = BinaryPrimitives.ReadInt32LittleEndian(slot);
        }
    }

    /// <summary>Moves one 64-bit field.</summary>
    public void I64(ref long value)
    {
        Span<byte> slot = Take(sizeof(long));
        if (IsSaving)
        {
            BinaryPrimitives.WriteInt64LittleEndian(slot, value);
        }
        else
        {
            value = BinaryPrimitives.ReadInt64LittleEndian(slot);
        }
    }

    /// <summary>Moves one flag as a byte.</summary>
    /// <exception cref="StateFormatException">The byte is neither 0 nor 1.</exception>
    public void Bool(ref bool value)
    {
        byte raw = value ? (byte)1 : (byte)0;
        U8(ref raw);
        if (raw > 1)
        {
            throw new StateFormatException($"flag at byte {Position - 1} has value {raw}, allowed are 0 and 1");
        }

        value = raw == 1;
    }

    /// <summary>Moves an array of fixed length; the length itself is not stored.</summary>
    public void Bytes(Span<byte> value)
    {
        Span<byte> slot = Take(value.Length);
        if (IsSaving)
        {
            value.CopyTo(slot);
        }
        else
        {
            slot.CopyTo(value);
        }
    }

    /// <summary>Moves a count that loading refuses above <paramref name="max"/>, before anything is allocated for
    /// it.</summary>
    /// <exception cref="StateFormatException">The stored count is out of range.</exception>
    public void Count(ref int value, int max)
    {
        I32(ref value);
        if (value < 0 || value > max)
        {
            throw new StateFormatException(
                $"count at byte {Position - sizeof(int)} is {value}, allowed are 0 to {max}");
        }
    }

    /// <exception cref="StateFormatException">The section is shorter than its fields.</exception>
    private Span<byte> Take(int count)
    {
        if (count > _payload.Length - Position)
        {
            throw new StateFormatException($"section ends at byte {_payload.Length}, field needs {Position + count}");
        }

        Span<byte> slot = _payload.Slice(Position, count);
        Position += count;
        return slot;
    }
}
