using System;
using Hypervisor.Backends.Block;

namespace Hypervisor.Replication.Wire;

/// <summary>
/// Something that the guest did to a disk, tagged with its epoch (in the frame header) and its place in it.
/// </summary>
/// <remarks>
/// <code>disk u16 | operation u8 (2 write, 3 flush, 4 discard, 5 write zeroes, 6 resize) | order u32 | offset i64 |
/// length i64 | bulk</code>
/// Order counts from 0 over all disks of the epoch. Bulk: length bytes for a write, else none.
/// </remarks>
internal sealed class DiskWriteMessage : Message
{
    /// <summary>Size of the fields.</summary>
    public const int FieldBytesFixed = 23;

    /// <inheritdoc/>
    public override MessageKind Kind => MessageKind.DiskWrite;

    /// <inheritdoc/>
    public override int FieldBytes => FieldBytesFixed;

    /// <summary>Which disk, in the order of the Hello.</summary>
    public required ushort Disk { get; init; }

    /// <summary>Write, flush, discard, write-zeroes or resize; never a read.</summary>
    public required BlockOperation Operation { get; init; }

    /// <summary>Place in the epoch, over all disks; the primary core stamps it.</summary>
    public uint Order { get; set; }

    /// <summary>First byte; 0 for a flush and a resize.</summary>
    public required long OffsetBytes { get; init; }

    /// <summary>Bytes affected; 0 for a flush, the new size for a resize.</summary>
    public required long LengthBytes { get; init; }

    /// <inheritdoc/>
    public override void WriteFields(Span<byte> target)
    {
        var writer = new WireWriter(target);
        writer.U16(Disk);
        writer.U8((byte)Operation);
        writer.U32(Order);
        writer.Size(OffsetBytes);
        writer.Size(LengthBytes);
    }

    internal static DiskWriteMessage Read(ref WireReader reader)
    {
        var message = new DiskWriteMessage
        {
            Disk = reader.U16("disk"),
            Operation = (BlockOperation)reader.U8("operation"),
            Order = reader.U32("order"),
            OffsetBytes = reader.Size("offset"),
            LengthBytes = reader.Size("length"),
        };
        if (message.Operation is < BlockOperation.Write or > BlockOperation.Resize)
        {
            throw reader.Bad("operation", $"{(int)message.Operation}, allowed are 2 to 6");
        }

        long expected = message.Operation == BlockOperation.Write ? message.LengthBytes : 0;
        return reader.Remaining == expected
            ? message
            : throw reader.Bad("data", $"{reader.Remaining} bytes, must be {expected}");
    }
}
