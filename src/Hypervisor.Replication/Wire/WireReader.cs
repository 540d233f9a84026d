using System;
using System.Buffers.Binary;
using System.Text;

namespace Hypervisor.Replication.Wire;

/// <summary>Takes fields from a payload; a short one is refused by the name of the field that is missing.</summary>
internal ref struct WireReader(ReadOnlySpan<byte> payload, MessageKind kind)
{
    private readonly ReadOnlySpan<byte> _payload = payload;

    /// <summary>Bytes taken so far.</summary>
    public int Position { get; private set; }

    /// <summary>Bytes not yet taken.</summary>
    public readonly int Remaining => _payload.Length - Position;

    public byte U8(string field) => Take(1, field)[0];

    public ushort U16(string field) => BinaryPrimitives.ReadUInt16LittleEndian(Take(2, field));

    public uint U32(string field) => BinaryPrimitives.ReadUInt32LittleEndian(Take(4, field));

    public ulong U64(string field) => BinaryPrimitives.ReadUInt64LittleEndian(Take(8, field));

    /// <summary>A signed quantity that is never negative.</summary>
    public long Size(string field)
    {
        long value = BinaryPrimitives.ReadInt64LittleEndian(Take(8, field));
        return value >= 0 ? value : throw Bad(field, $"{value}, must not be negative");
    }

    public Guid Uuid(string field) => new(Take(16, field));

    /// <summary>A value that must not exceed <paramref name="max"/>.</summary>
    public int Count(string field, int max)
    {
        int value = U16(field);
        return value <= max ? value : throw Bad(field, $"{value}, at most {max} is allowed");
    }

    /// <summary>A flag of one byte.</summary>
    public bool Flag(string field)
    {
        byte value = U8(field);
        return value <= 1 ? value == 1 : throw Bad(field, $"{value}, allowed are 0 and 1");
    }

    public string Text(string field) => Encoding.UTF8.GetString(Take(U8(field), field));

    /// <summary>Bytes that have no structure; valid as long as the payload.</summary>
    public ReadOnlySpan<byte> Raw(string field, int count) => Take(count, field);

    /// <summary>Refuses a payload that goes on after its last field.</summary>
    public readonly void End()
    {
        if (Remaining != 0)
        {
            throw new WireFormatException($"{kind} payload has {_payload.Length} bytes, must have {Position}");
        }
    }

    /// <summary>The refusal of a field's value.</summary>
    public readonly WireFormatException Bad(string field, string text) => new($"{kind} {field} is {text}");

    private ReadOnlySpan<byte> Take(int count, string field)
    {
        if (count > Remaining)
        {
            throw new WireFormatException($"{kind} ends at byte {_payload.Length}, {field} needs {Position + count}");
        }

        ReadOnlySpan<byte> slot = _payload.Slice(Position, count);
        Position += count;
        return slot;
    }
}
