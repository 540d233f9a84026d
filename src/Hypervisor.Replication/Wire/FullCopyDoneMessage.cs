using System;
using System.Collections.Generic;

namespace Hypervisor.Replication.Wire;

/// <summary>The full copy is complete as of cut 0: the counts and the digests that the standby must reach.</summary>
/// <remarks>
/// <code>messages u64 | payload bytes i64 | stream digest u32 | count u16 | content digests u64 × count</code>
/// Stream digest: over all copy messages in order. Content digests: RAM, then each disk, as both rims compute them;
/// may be none.
/// </remarks>
internal sealed class FullCopyDoneMessage : Message
{
    /// <inheritdoc/>
    public override MessageKind Kind => MessageKind.FullCopyDone;

    /// <inheritdoc/>
    public override int FieldBytes => 22 + (8 * ContentDigests.Count);

    /// <summary>Copy messages sent.</summary>
    public required ulong Messages { get; init; }

    /// <summary>Their payload bytes.</summary>
    public required long CopiedBytes { get; init; }

    /// <summary>Digest over them in order.</summary>
    public required uint StreamDigest { get; init; }

    /// <summary>RAM and each disk at the cut.</summary>
    public required IReadOnlyList<ulong> ContentDigests { get; init; }

    /// <inheritdoc/>
    public override void WriteFields(Span<byte> target)
    {
        var writer = new WireWriter(target);
        writer.U64(Messages);
        writer.Size(CopiedBytes);
        writer.U32(StreamDigest);
        writer.U16((ushort)ContentDigests.Count);
        for (int i = 0; i < ContentDigests.Count; i++)
        {
            writer.U64(ContentDigests[i]);
        }
    }

    internal static FullCopyDoneMessage Read(ref WireReader reader)
    {
        ulong messages = reader.U64("messages");
        long bytes = reader.Size("payload bytes");
        uint digest = reader.U32("stream digest");
        ulong[] contents = new ulong[reader.Count("digest count", MessageLimits.DisksMax + 1)];
        for (int i = 0; i < contents.Length; i++)
        {
            contents[i] = reader.U64("content digest");
        }

        return new() { Messages = messages, CopiedBytes = bytes, StreamDigest = digest, ContentDigests = contents };
    }
}
