using System;
using System.Collections.Generic;
using Hypervisor.Backends.Block;
using Hypervisor.Core;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Standby;

/// <summary>
/// Everything of one epoch, by kind, as it was received. Filled by the core; read-only once committed.
/// </summary>
internal sealed class StagedEpoch
{
    private readonly List<RamBlockMessage> _ramBlocks = [];
    private readonly List<SectionMessage> _sections = [];
    private readonly List<DiskWriteMessage> _diskWrites = [];
    private readonly List<DiskWriteMessage> _sharedWrites = []; // taken out of the others
    private readonly List<OutputMessage> _outputs = [];
    private readonly List<ScrubMessage> _scrubs = [];

    /// <summary>Its number.</summary>
    public ulong Epoch { get; private set; }

    /// <summary>Changed RAM, in order.</summary>
    public IReadOnlyList<RamBlockMessage> RamBlocks => _ramBlocks;

    /// <summary>Sections, in checkpoint order.</summary>
    public IReadOnlyList<SectionMessage> Sections => _sections;

    /// <summary>What happened to the disks, in order over all of them.</summary>
    public IReadOnlyList<DiskWriteMessage> DiskWrites => _diskWrites;

    /// <summary>Console bytes, in order.</summary>
    public IReadOnlyList<OutputMessage> Outputs => _outputs;

    /// <summary>Ranges to compare, of disks in rising order of their places.</summary>
    public IReadOnlyList<ScrubMessage> Scrubs => _scrubs;

    /// <summary>Payload bytes of all messages.</summary>
    public long PayloadBytes { get; private set; }

    /// <summary>Digest that all RAM must have once it is applied; null: not known.</summary>
    public ulong? RamDigest { get; set; }

    /// <summary>Whether the guest flushed a disk in this epoch, or one was resized: it must last.</summary>
    public bool HasFlush { get; private set; }

    /// <summary>
    /// When the first message of its cut came, 0 before: disk writes come while the primary's guest is still in it.
    /// </summary>
    public long CapturedNanos { get; set; }

    /// <summary>How long it was gathered, verified and waited. Set by whoever commits it, before the answer.</summary>
    public long StageNanos { get; set; }

    /// <summary>How long the journal took. Set by whoever commits it, before the answer.</summary>
    public long JournalNanos { get; set; }

    /// <summary>How long RAM and disks took. Set by whoever applies it, before the answer.</summary>
    public long ApplyNanos { get; set; }

    /// <summary>Makes it an empty epoch <paramref name="epoch"/>.</summary>
    public void Begin(ulong epoch)
    {
        Release();
        Epoch = epoch;
        CapturedNanos = StageNanos = JournalNanos = ApplyNanos = 0;
    }

    /// <summary>Messages that were added.</summary>
    public int MessageCount { get; private set; }

    /// <summary>Takes a message of a staged kind.</summary>
    public void Add(Message message)
    {
        switch (message)
        {
            case RamBlockMessage ram:
                _ramBlocks.Add(ram);
                break;
            case SectionMessage section:
                _sections.Add(section);
                break;
            case DiskWriteMessage write:
                _diskWrites.Add(write);
                HasFlush |= write.Operation is BlockOperation.Flush or BlockOperation.Resize; // who asked is told soon
                break;
            case OutputMessage output:
                _outputs.Add(output);
                break;
            case ScrubMessage scrub:
                _scrubs.Add(scrub);
                break;
            default:
                Check.That(false);
                break;
        }

        MessageCount++;
        PayloadBytes += message.PayloadBytes;
    }

    /// <summary>Counts and digest of what is in memory now: every byte is read again (rule 7).</summary>
    public EpochTotals ComputeTotals()
    {
        var digest = new EpochDigest();
        foreach (RamBlockMessage message in _ramBlocks)
        {
            digest.Add(MessageKind.RamBlock, message.ComputeChecksum());
        }

        foreach (SectionMessage message in _sections)
        {
            digest.Add(MessageKind.Section, message.ComputeChecksum());
        }

        foreach (DiskWriteMessage message in _diskWrites)
        {
            digest.Add(MessageKind.DiskWrite, message.ComputeChecksum());
        }

        foreach (OutputMessage message in _outputs)
        {
            digest.Add(MessageKind.Output, message.ComputeChecksum());
        }

        foreach (ScrubMessage message in _scrubs)
        {
            digest.Add(MessageKind.Scrub, message.ComputeChecksum());
        }

        return digest.Totals(PayloadBytes);
    }

    /// <summary>
    /// Takes the output messages out, so that they outlive the epoch until the primary has released them.
    /// </summary>
    /// <returns>Their bytes.</returns>
    public long MoveOutputsTo(Queue<OutputMessage> target) => Move(_outputs, target);

    /// <summary>Sets writes to shared disks apart: they are no business of the journal. Once it is verified.</summary>
    public void SetApart(Func<ushort, bool> isShared)
    {
        _sharedWrites.AddRange(_diskWrites.FindAll(write => isShared(write.Disk)));
        _ = _diskWrites.RemoveAll(write => isShared(write.Disk));
    }

    /// <summary>Takes those writes out, so that they outlive the epoch until the primary has done them.</summary>
    /// <returns>Their bytes.</returns>
    public long MoveSharedTo(Queue<DiskWriteMessage> target) => Move(_sharedWrites, target);

    /// <summary>Releases RAM blocks, disk writes and scrubs once they are applied; the sections stay.</summary>
    public void ReleaseApplied()
    {
        ReleaseAll(_ramBlocks);
        ReleaseAll(_diskWrites);
        ReleaseAll(_scrubs);
        PayloadBytes = 0;
    }

    /// <summary>Releases everything.</summary>
    public void Release()
    {
        ReleaseApplied();
        ReleaseAll(_sections);
        ReleaseAll(_outputs);
        ReleaseAll(_sharedWrites);
        HasFlush = false;
        RamDigest = null;
        MessageCount = 0;
    }

    private static void ReleaseAll<T>(List<T> messages)
        where T : Message
    {
        foreach (T message in messages)
        {
            message.Release();
        }

        messages.Clear();
    }

    private static long Move<T>(List<T> source, Queue<T> target)
        where T : Message
    {
        long bytes = 0;
        foreach (T message in source)
        {
            target.Enqueue(message);
            bytes += message.Bulk.Length;
        }

        source.Clear();
        return bytes;
    }
}
