using System;
using Hypervisor.Core.State;

namespace Hypervisor.Replication.Wire;

/// <summary>One frame in memory: its fields, and for bulk kinds the bytes that follow them by reference.</summary>
/// <remarks>
/// Who holds a message owns its buffer and calls <see cref="Release"/> once: the link after sending, the standby's rim
/// after applying, a core that discards it. Incarnation and epoch travel in the frame header.
/// </remarks>
internal abstract class Message
{
    // Fields of the kinds that are staged and digested fit in here.
    private const int StagedFieldBytesMax = 64;

    private IDisposable? _owner;

    /// <summary>What it is.</summary>
    public abstract MessageKind Kind { get; }

    /// <summary>Which life of the pair it belongs to; the cores stamp it.</summary>
    public ulong Incarnation { get; set; }

    /// <summary>Which epoch it belongs to, 0 before and outside of epochs.</summary>
    public ulong Epoch { get; set; }

    /// <summary>Bytes that <see cref="WriteFields"/> stores.</summary>
    public abstract int FieldBytes { get; }

    /// <summary>Bytes after the fields, sent from where they lie.</summary>
    public ReadOnlyMemory<byte> Bulk { get; private set; }

    /// <summary>Fields and bulk together.</summary>
    public int PayloadBytes => FieldBytes + Bulk.Length;

    /// <summary>Payload CRC when the sender has computed it already, so that the encoder need not.</summary>
    public uint? KnownChecksum { get; set; }

    /// <summary>Stores the fields, little-endian, in the order of the kind's table.</summary>
    public abstract void WriteFields(Span<byte> target);

    /// <summary>CRC-32C of fields and bulk as they are in memory now. For bulk kinds.</summary>
    public uint ComputeChecksum()
    {
        Span<byte> fields = stackalloc byte[StagedFieldBytesMax];
        fields = fields[..FieldBytes];
        WriteFields(fields);
        return ~Crc32C.Append(Crc32C.Append(Crc32C.Start, fields), Bulk.Span);
    }

    /// <summary>Gives the buffer back. The message must not be used afterwards.</summary>
    public void Release()
    {
        IDisposable? owner = _owner;
        _owner = null;
        Bulk = default;
        owner?.Dispose();
    }

    /// <summary>Hands over the bulk; <paramref name="owner"/> is disposed when the message is released.</summary>
    public void Attach(ReadOnlyMemory<byte> bulk, IDisposable? owner)
    {
        Bulk = bulk;
        _owner = owner;
    }
}
