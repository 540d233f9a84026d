using System;

namespace Hypervisor.Replication.Wire;

/// <summary>What the primary has in a range of RAM or of a disk, for the standby to compare while it applies.</summary>
/// <remarks>
/// <code>disk u16 (0xFFFF RAM) | order u32 | offset i64 | length i64 | bulk: the rim's hashes</code>
/// The hashes are opaque to the cores.
/// RAM is as of the cut of the epoch, a disk as of its first <c>order</c> operations of the epoch.
/// </remarks>
internal sealed class ScrubMessage : Message
{
    /// <summary>Size of the fields.</summary>
    public const int FieldBytesFixed = 22;

    /// <summary>Stands for RAM where a disk's number is due.</summary>
    public const ushort Ram = ushort.MaxValue;

    /// <inheritdoc/>
    public override MessageKind Kind => MessageKind.Scrub;

    /// <inheritdoc/>
    public override int FieldBytes => FieldBytesFixed;

    /// <summary>Where: <see cref="Ram"/> or a disk, in the order of the Hello.</summary>
    public required DiskRange Range { get; init; }

    /// <summary>Disk operations of the epoch that came before; the primary core stamps it.</summary>
    public uint Order { get; set; }

    /// <summary>Whether it is about RAM.</summary>
    public bool IsRam => Range.Disk == Ram;

    /// <inheritdoc/>
    public override void WriteFields(Span<byte> target)
    {
        var writer = new WireWriter(target);
        writer.U16(Range.Disk);
        writer.U32(Order);
        writer.Size(Range.OffsetBytes);
        writer.Size(Range.LengthBytes);
    }

    internal static ScrubMessage Read(ref WireReader reader)
    {
        ushort disk = reader.U16("disk");
        uint order = reader.U32("order");
        return new()
        {
            Range = new DiskRange(disk, reader.Size("offset"), reader.Size("length")),
            Order = order,
        };
    }
}
