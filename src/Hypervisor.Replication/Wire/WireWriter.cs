using System;
using System.Buffers.Binary;
using System.Text;
using Hypervisor.Core;

namespace Hypervisor.Replication.Wire;

/// <summary>Stores fields one after the other, little-endian.</summary>
internal ref struct WireWriter(Span<byte> target)
{
    private Span<byte> _rest = target;

    public void U8(byte value) => Take(1)[0] = value;

    public void U16(ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(Take(2), value);

    public void U32(uint value) => BinaryPrimitives.WriteUInt32LittleEndian(Take(4), value);

    public void U64(ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Take(8), value);

    public void Size(long value) => BinaryPrimitives.WriteInt64LittleEndian(Take(8), value);

    public void Uuid(Guid value) => Check.That(value.TryWriteBytes(Take(16)));

    public void Raw(ReadOnlySpan<byte> value) => value.CopyTo(Take(value.Length));

    public void Text(string value)
    {
        int count = Encoding.UTF8.GetByteCount(value);
        Check.That(count <= MessageLimits.TextBytesMax);
        U8((byte)count);
        Encoding.UTF8.GetBytes(value, Take(count));
    }

    /// <summary>Bytes that <see cref="Text"/> will use.</summary>
    public static int TextBytes(string value) => 1 + Encoding.UTF8.GetByteCount(value);

    /// <summary>Cuts a text of free length so that it fits into a field, at a whole character.</summary>
    public static string Fit(string value)
    {
        while (Encoding.UTF8.GetByteCount(value) > MessageLimits.TextBytesMax)
        {
            value = value[..^Math.Max(1, (value.Length - MessageLimits.TextBytesMax) / 2)];
        }

        return value;
    }

    private Span<byte> Take(int count)
    {
        Span<byte> slot = _rest[..count];
        _rest = _rest[count..];
        return slot;
    }
}
