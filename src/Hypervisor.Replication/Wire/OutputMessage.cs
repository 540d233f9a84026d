using System;

namespace Hypervisor.Replication.Wire;

/// <summary>
/// Console bytes that an epoch put into the outbox, so that the standby can let out what the primary did not.
/// </summary>
/// <remarks>
/// <code>stream u16 | offset i64 | bulk</code>
/// The offset counts all bytes that the stream ever sent; whoever collects the output drops by it what it has
/// already (rule 5).
/// </remarks>
internal sealed class OutputMessage : Message
{
    /// <summary>Size of the fields.</summary>
    public const int FieldBytesFixed = 10;

    /// <inheritdoc/>
    public override MessageKind Kind => MessageKind.Output;

    /// <inheritdoc/>
    public override int FieldBytes => FieldBytesFixed;

    /// <summary>Which console.</summary>
    public required ushort Stream { get; init; }

    /// <summary>Bytes that the stream sent before these.</summary>
    public required long OffsetBytes { get; init; }

    /// <inheritdoc/>
    public override void WriteFields(Span<byte> target)
    {
        var writer = new WireWriter(target);
        writer.U16(Stream);
        writer.Size(OffsetBytes);
    }

    internal static OutputMessage Read(ref WireReader reader)
        => new() { Stream = reader.U16("stream"), OffsetBytes = reader.Size("offset") };
}
