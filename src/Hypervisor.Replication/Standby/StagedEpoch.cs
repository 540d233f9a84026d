using System.Collections.Generic;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Standby;

/// <summary>Everything of one epoch, by kind, as it was received. Filled by the core; read-only once committed.</summary>
internal sealed class StagedEpoch
{
    private readonly List<RamBlockMessage> _ramBlocks = [];
    private readonly List<SectionMessage> _sections = [];
    private readonly List<DiskWriteMessage> _diskWrites = [];
    private readonly List<OutputMessage> _outputs = [];

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

    /// <summary>Payload bytes of all messages.</summary>
    public long PayloadBytes { get; private set; }

    /// <summary>Whether the guest flushed a disk in this epoch.</summary>
    public bool HasFlush { get; private set; }

    /// <summary>Makes it an empty epoch <paramref name="epoch"/>.</summary>
    public void Begin(ulong epoch)
    {
        Release();
        Epoch = epoch;
    }

    public void Add(RamBlockMessage message)
    {
        _ramBlocks.Add(message);
        PayloadBytes += message.PayloadBytes;
    }

    public void Add(SectionMessage message)
    {
        _sections.Add(message);
        PayloadBytes += message.PayloadBytes;
    }

    public void Add(DiskWriteMessage message)
    {
        _diskWrites.Add(message);
        PayloadBytes += message.PayloadBytes;
        HasFlush |= message.Operation == Backends.Block.BlockOperation.Flush;
    }

    public void Add(OutputMessage message)
    {
        _outputs.Add(message);
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

        return digest.Totals(PayloadBytes);
    }

    /// <summary>Takes the output messages out, so that they outlive the epoch until the primary has released them.</summary>
    public void MoveOutputsTo(Queue<OutputMessage> target)
    {
        foreach (OutputMessage message in _outputs)
        {
            target.Enqueue(message);
        }

        _outputs.Clear();
    }

    /// <summary>Releases RAM blocks and disk writes once they are applied; the sections stay.</summary>
    public void ReleaseApplied()
    {
        ReleaseAll(_ramBlocks);
        ReleaseAll(_diskWrites);
        PayloadBytes = 0;
    }

    /// <summary>Releases everything.</summary>
    public void Release()
    {
        ReleaseApplied();
        ReleaseAll(_sections);
        ReleaseAll(_outputs);
        HasFlush = false;
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
}
