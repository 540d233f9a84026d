using System;
using System.Collections.Generic;

namespace Hypervisor.Replication.Wire;

/// <summary>The standby accepts, and states its bounds.</summary>
/// <remarks>
/// <code>
/// node UUID | staged bytes max i64 | takeover timeout i64 ns | is ack durable u8 |
/// incarnation and epoch where its disks stand, u64 | is RAM there as well u8 | was it the primary then u8 |
/// count u16 | so many ranges: disk u16, offset i64, length i64 | compression u8
/// </code>
/// </remarks>
internal sealed class WelcomeMessage : Message
{
    /// <summary>Most ranges that one may name.</summary>
    public const int DoubtfulMax = 3000;

    private const int FixedBytes = 54, RangeBytes = 18;

    /// <inheritdoc/>
    public override MessageKind Kind => MessageKind.Welcome;

    /// <inheritdoc/>
    public override int FieldBytes => FixedBytes + (Doubtful.Count * RangeBytes);

    /// <summary>Who the standby is at the witness.</summary>
    public required Guid Node { get; init; }

    /// <summary>Most bytes of uncommitted epochs that it holds.</summary>
    public required long StagedBytesMax { get; init; }

    /// <summary>Silence after which it tries to take over.</summary>
    public required long TakeoverNanos { get; init; }

    /// <summary>Whether an epoch with a flush is acknowledged only when durable (<c>ack=durable</c>).</summary>
    public required bool IsAckDurable { get; init; }

    /// <summary>Where its disks stand: the truth about what it misses (rule 38).</summary>
    public required ReplicaPoint Point { get; init; }

    /// <summary>Whether its RAM stands there as well.</summary>
    public required bool HasRam { get; init; }

    /// <summary>
    /// Whether it was the primary of that life: then it has all up to the point, and more in <see cref="Doubtful"/>.
    /// </summary>
    public bool WasPrimary { get; init; }

    /// <summary>What it may have changed after the point (rule 37).</summary>
    public IReadOnlyList<DiskRange> Doubtful { get; init; } = [];

    /// <summary>Which one of those that the Hello offers.</summary>
    public Compressions Compression { get; init; } = Compressions.None;

    /// <inheritdoc/>
    public override void WriteFields(Span<byte> target)
    {
        var writer = new WireWriter(target);
        writer.Uuid(Node);
        writer.Size(StagedBytesMax);
        writer.Size(TakeoverNanos);
        writer.U8(IsAckDurable ? (byte)1 : (byte)0);
        writer.U64(Point.Incarnation);
        writer.U64(Point.Epoch);
        writer.U8(HasRam ? (byte)1 : (byte)0);
        writer.U8(WasPrimary ? (byte)1 : (byte)0);
        writer.U16((ushort)Doubtful.Count);
        foreach (DiskRange range in Doubtful)
        {
            writer.U16(range.Disk);
            writer.Size(range.OffsetBytes);
            writer.Size(range.LengthBytes);
        }
        writer.U8((byte)Compression);
    }

    internal static WelcomeMessage Read(ref WireReader reader) => new()
    {
        Node = reader.Uuid("node"),
        StagedBytesMax = reader.Size("staged bytes max"),
        TakeoverNanos = reader.Size("takeover timeout"),
        IsAckDurable = reader.Flag("is ack durable"),
        Point = new ReplicaPoint(reader.U64("incarnation of the copy"), reader.U64("epoch of the copy")),
        HasRam = reader.Flag("is RAM there"),
        WasPrimary = reader.Flag("was primary"),
        Doubtful = ReadRanges(ref reader),
        Compression = (Compressions)reader.U8("compression"),
    };

    private static DiskRange[] ReadRanges(ref WireReader reader)
    {
        var ranges = new DiskRange[reader.Count("range count", DoubtfulMax)];
        for (int i = 0; i < ranges.Length; i++)
        {
            ranges[i] = new DiskRange(
                reader.U16("disk"), reader.Size("offset of a range"), reader.Size("length of a range"));
        }

        return ranges;
    }
}
