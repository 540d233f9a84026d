using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Text;

namespace Hypervisor.Machine.Boot.Acpi;

/// <summary>Writes ACPI Machine Language: named objects, packages and the few operators that our DSDT needs.</summary>
/// <remarks>Spec: ACPI 6.4, section 20.2 "AML Grammar Definition". Blocks nest as C# lambdas.</remarks>
internal sealed class AmlWriter
{
    private const byte ExtendedPrefix = 0x5B;

    private readonly List<byte> _bytes = [];

    /// <summary>What was written so far.</summary>
    public byte[] ToArray() => [.. _bytes];

    /// <summary>Name (<paramref name="name"/>, value written by <paramref name="value"/>).</summary>
    public AmlWriter Name(string name, Action<AmlWriter> value)
    {
        _bytes.Add(0x08);
        NameString(name);
        value(this);
        return this;
    }

    /// <summary>Name of an integer object.</summary>
    public AmlWriter Name(string name, ulong value) => Name(name, aml => aml.Integer(value));

    /// <summary>Name of a compressed EISA identifier such as PNP0A03.</summary>
    public AmlWriter NameEisaId(string name, string eisaId) => Name(name, aml => aml.Integer(EisaId(eisaId)));

    /// <summary>Name of a string object.</summary>
    public AmlWriter Name(string name, string text) => Name(name, aml => aml.Text(text));

    /// <summary>Name of a buffer object.</summary>
    public AmlWriter Name(string name, byte[] buffer) => Name(name, aml => aml.Buffer(buffer));

    /// <summary>Scope (<paramref name="name"/>) { body }.</summary>
    public AmlWriter Scope(string name, Action<AmlWriter> body) => Block([0x10], aml => body(aml.NameString(name)));

    /// <summary>Device (<paramref name="name"/>) { body }.</summary>
    public AmlWriter Device(string name, Action<AmlWriter> body)
        => Block([ExtendedPrefix, 0x82], aml => body(aml.NameString(name)));

    /// <summary>Method (<paramref name="name"/>, argument count, serialized) { body }.</summary>
    public AmlWriter Method(string name, int argumentCount, bool serialized, Action<AmlWriter> body)
        => Block([0x14], aml =>
        {
            aml.NameString(name);
            aml._bytes.Add((byte)(argumentCount | (serialized ? 8 : 0)));
            body(aml);
        });

    /// <summary>If (predicate) { body }.</summary>
    public AmlWriter If(Action<AmlWriter> predicate, Action<AmlWriter> body) => Block([0xA0], aml =>
    {
        predicate(aml);
        body(aml);
    });

    /// <summary>Return (value).</summary>
    public AmlWriter Return(Action<AmlWriter> value)
    {
        _bytes.Add(0xA4);
        value(this);
        return this;
    }

    /// <summary>Store (value, <paramref name="target"/>).</summary>
    public AmlWriter Store(Action<AmlWriter> value, string target)
    {
        _bytes.Add(0x70);
        value(this);
        return NameString(target);
    }

    /// <summary>And (left, right) as a value.</summary>
    public AmlWriter And(Action<AmlWriter> left, Action<AmlWriter> right) => Binary(0x7B, left, right);

    /// <summary>Or (left, right) as a value.</summary>
    public AmlWriter Or(Action<AmlWriter> left, Action<AmlWriter> right) => Binary(0x7D, left, right);

    /// <summary>Argument <paramref name="index"/> of the method.</summary>
    public AmlWriter Argument(int index)
    {
        _bytes.Add((byte)(0x68 + index));
        return this;
    }

    /// <summary>CreateDWordField (<paramref name="buffer"/>, byte offset, <paramref name="field"/>).</summary>
    public AmlWriter CreateU32Field(string buffer, int offset, string field)
    {
        _bytes.Add(0x8A);
        NameString(buffer);
        Integer((ulong)offset);
        return NameString(field);
    }

    /// <summary>CreateDWordField on a buffer that the method got as an argument.</summary>
    public AmlWriter CreateU32ArgumentField(int argument, int offset, string field)
    {
        _bytes.Add(0x8A);
        Argument(argument);
        Integer((ulong)offset);
        return NameString(field);
    }

    /// <summary>OperationRegion in PCI configuration space, and 8-bit fields in it, side by side.</summary>
    public AmlWriter PciConfigFields(string region, int offset, params string[] fields)
    {
        const byte PciConfigSpace = 2;
        const byte ByteAccessPreserve = 1;
        const byte FieldBits = 8;
        _bytes.AddRange([ExtendedPrefix, 0x80]);
        NameString(region);
        _bytes.Add(PciConfigSpace);
        Integer((ulong)offset);
        Integer((ulong)fields.Length);
        return Block([ExtendedPrefix, 0x81], aml =>
        {
            aml.NameString(region);
            aml._bytes.Add(ByteAccessPreserve);
            foreach (string field in fields)
            {
                aml.NameString(field);
                aml._bytes.Add(FieldBits);
            }
        });
    }

    /// <summary>Package of <paramref name="count"/> elements.</summary>
    public AmlWriter Package(int count, Action<AmlWriter> elements) => Block([0x12], aml =>
    {
        aml._bytes.Add(checked((byte)count));
        elements(aml);
    });

    /// <summary>Package of integers.</summary>
    public AmlWriter Package(params ulong[] values) => Package(values.Length, aml =>
    {
        foreach (ulong value in values)
        {
            aml.Integer(value);
        }
    });

    /// <summary>An integer in its shortest encoding.</summary>
    public AmlWriter Integer(ulong value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        switch (value)
        {
            case 0 or 1:
                _bytes.Add((byte)value);
                break;
            case <= byte.MaxValue:
                _bytes.Add(0x0A);
                _bytes.AddRange(bytes[..1]);
                break;
            case <= ushort.MaxValue:
                _bytes.Add(0x0B);
                _bytes.AddRange(bytes[..2]);
                break;
            case <= uint.MaxValue:
                _bytes.Add(0x0C);
                _bytes.AddRange(bytes[..4]);
                break;
            default:
                _bytes.Add(0x0E);
                _bytes.AddRange(bytes);
                break;
        }

        return this;
    }

    /// <summary>A string.</summary>
    public AmlWriter Text(string text)
    {
        _bytes.Add(0x0D);
        _bytes.AddRange(Encoding.ASCII.GetBytes(text));
        _bytes.Add(0);
        return this;
    }

    /// <summary>A buffer.</summary>
    public AmlWriter Buffer(byte[] content) => Block([0x11], aml =>
    {
        aml.Integer((ulong)content.Length);
        aml._bytes.AddRange(content);
    });

    /// <summary>A name, absolute with a leading backslash, segments separated by dots, padded to four characters.</summary>
    public AmlWriter NameString(string name)
    {
        ReadOnlySpan<char> rest = name;
        if (rest.StartsWith("\\"))
        {
            _bytes.Add((byte)'\\');
            rest = rest[1..];
        }

        string[] segments = rest.ToString().Split('.');
        if (segments.Length == 2)
        {
            _bytes.Add(0x2E); // DualNamePrefix
        }
        else if (segments.Length > 2)
        {
            _bytes.AddRange([0x2F, (byte)segments.Length]); // MultiNamePrefix
        }

        foreach (string segment in segments)
        {
            _bytes.AddRange(Encoding.ASCII.GetBytes(segment.PadRight(4, '_')));
        }

        return this;
    }

    /// <summary>Compresses an EISA identifier: three letters of 5 bits, four hex digits, big-endian.</summary>
    internal static uint EisaId(string text)
    {
        uint letters = (uint)(((text[0] - 0x40) << 10) | ((text[1] - 0x40) << 5) | (text[2] - 0x40));
        uint number = Convert.ToUInt32(text[3..], 16);
        return BinaryPrimitives.ReverseEndianness((letters << 16) | number);
    }

    private AmlWriter Binary(byte opcode, Action<AmlWriter> left, Action<AmlWriter> right)
    {
        const byte NoTarget = 0; // NullName: the result is the value only
        _bytes.Add(opcode);
        left(this);
        right(this);
        _bytes.Add(NoTarget);
        return this;
    }

    private AmlWriter Block(ReadOnlySpan<byte> opcode, Action<AmlWriter> body)
    {
        _bytes.AddRange(opcode);
        var inner = new AmlWriter();
        body(inner);
        AddPackageLength(inner._bytes.Count);
        _bytes.AddRange(inner._bytes);
        return this;
    }

    // PkgLength counts itself. One byte holds 6 bits; otherwise the first holds 4 bits and the count of bytes that follow.
    private void AddPackageLength(int bodyBytes)
    {
        if (bodyBytes + 1 < 1 << 6)
        {
            _bytes.Add((byte)(bodyBytes + 1));
            return;
        }

        int extraBytes = bodyBytes + 2 < 1 << 12 ? 1 : bodyBytes + 3 < 1 << 20 ? 2 : 3;
        int length = bodyBytes + 1 + extraBytes;
        _bytes.Add((byte)((extraBytes << 6) | (length & 0xF)));
        for (int i = 0; i < extraBytes; i++)
        {
            _bytes.Add((byte)(length >> (4 + (8 * i))));
        }
    }
}
