using System;
using System.Collections.Generic;
using System.IO;
using Hypervisor.Backends.Block;
using Hypervisor.Core;
using Hypervisor.Core.State;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Disk;

/// <summary>
/// The standby's write-ahead journal over its disks: at every instant the disks together with the journal are the disks
/// of one committed epoch (rule 20).
/// </summary>
/// <remarks>
/// Two segments: one takes new epochs; when it is full and the other one is applied and flushed, that one is
/// emptied and takes
/// over. Before an epoch touches a disk its records are durable. Owned by one thread, blocking; every failure is an
/// <see cref="IOException"/> and final: a journal that failed once takes no more epochs (rule 22).
/// </remarks>
internal sealed class EpochJournal
{
    private readonly IReadOnlyList<IStandbyDisk> _disks;
    private readonly long _segmentBytesMax;
    private readonly byte[] _head = new byte[JournalRecord.Bytes];

    private IJournalStore _active;
    private IJournalStore _other;
    private ulong _incarnation;
    private ulong _otherLastEpoch;   // last epoch in _other; it may be emptied once that one is flushed
    private ulong _flushedEpoch;     // disks hold it durably
    private bool _isBroken;

    /// <summary>A journal over two segments. <see cref="Recover"/> or <see cref="Begin"/> comes first.</summary>
    public EpochJournal(
        IJournalStore first, IJournalStore second, IReadOnlyList<IStandbyDisk> disks, long segmentBytesMax)
    {
        _active = first;
        _other = second;
        _disks = disks;
        _segmentBytesMax = segmentBytesMax;
    }

    /// <summary>Last epoch appended.</summary>
    public ulong AppendedEpoch { get; private set; }

    /// <summary>Last epoch that survives a power loss.</summary>
    public ulong DurableEpoch { get; private set; }

    /// <summary>Last epoch that the disks were given.</summary>
    public ulong AppliedEpoch { get; private set; }

    /// <summary>After a restart: brings the disks to the last whole epoch in the journal and empties it.</summary>
    /// <returns>Incarnation and epoch of the disks now; epoch 0 when the journal held none.</returns>
    public (ulong Incarnation, ulong Epoch) Recover()
    {
        var one = new JournalScan(_active);
        var two = new JournalScan(_other);
        bool isTwoOlder = two.Epochs.Count > 0 && (one.Epochs.Count == 0 || two.Epochs[0].Epoch < one.Epochs[0].Epoch);
        (JournalScan older, JournalScan newer) = isTwoOlder ? (two, one) : (one, two);
        if (older.Epochs.Count == 0)
        {
            Empty(0, 0);
            return (0, 0);
        }

        (_active, _other) = isTwoOlder ? (_active, _other) : (_other, _active);
        JournalScan.EpochRange last = older.Epochs[^1];

        // A newer segment was begun only after the older one was durable; one that does not follow on is stale.
        bool isFollowed = newer.Epochs.Count > 0 && newer.Epochs[0].Incarnation == last.Incarnation
            && newer.Epochs[0].Epoch == last.Epoch + 1;
        older.Replay(_disks, isFollowed ? [.. older.Resized, .. newer.Resized] : older.Resized);
        if (isFollowed)
        {
            newer.Replay(_disks, newer.Resized);
            last = newer.Epochs[^1];
        }

        FlushDisks();
        Empty(last.Incarnation, last.Epoch);
        return (last.Incarnation, last.Epoch);
    }

    /// <summary>Forgets everything: a full copy of a new incarnation replaces the disks.</summary>
    public void Begin(ulong incarnation)
    {
        _isBroken = false;
        Empty(incarnation, 0);
    }

    /// <summary>
    /// Appends an epoch and its commit record; with <paramref name="isDurable"/> it survives a power loss
    /// afterwards.
    /// </summary>
    public void Append(StagedEpoch epoch, bool isDurable)
    {
        Check.That(epoch.Epoch == AppendedEpoch + 1);
        if (_isBroken)
        {
            throw new IOException("the journal failed before and takes no more epochs");
        }

        _isBroken = true; // until all of it went well
        SwitchIfFull();
        long start = _active.LengthBytes;
        uint count = 0;
        foreach (DiskWriteMessage write in epoch.DiskWrites)
        {
            if (write.Operation != BlockOperation.Flush)
            {
                ReadOnlySpan<byte> data = write.Bulk.Span;
                RecordOf(write, count++, ~Crc32C.Append(Crc32C.Start, data)).Write(_head);
                _active.Append(_head);
                _active.Append(data);
            }
        }

        uint none = ~Crc32C.Append(Crc32C.Start, default);
        new JournalRecord(JournalKind.Commit, 0, _incarnation, epoch.Epoch, count, 0, 0, start, none).Write(_head);
        _active.Append(_head);
        AppendedEpoch = epoch.Epoch;
        if (isDurable)
        {
            MakeDurable();
        }

        _isBroken = false;
    }

    /// <summary>Gives the disks what an appended epoch did to them, after making it durable (rules 17, 18).</summary>
    /// <param name="epoch">The next one.</param>
    /// <param name="compare">Called for each of its scrubs of a disk, in its place; may throw.</param>
    public void Apply(StagedEpoch epoch, Action<ScrubMessage> compare)
    {
        Check.That(epoch.Epoch == AppliedEpoch + 1 && epoch.Epoch <= AppendedEpoch);
        if (DurableEpoch < epoch.Epoch && HasChanges(epoch))
        {
            MakeDurable();
        }

        uint count = 0;
        int scrub = 0;
        foreach (DiskWriteMessage write in epoch.DiskWrites)
        {
            CompareUpTo(write.Order);
            if (write.Operation != BlockOperation.Flush)
            {
                JournalScan.Apply(RecordOf(write, count++, 0), write.Bulk.Span, _disks);
            }
        }

        CompareUpTo(uint.MaxValue);
        AppliedEpoch = epoch.Epoch;

        void CompareUpTo(uint order)
        {
            for (; scrub < epoch.Scrubs.Count && epoch.Scrubs[scrub].Order <= order; scrub++)
            {
                if (!epoch.Scrubs[scrub].IsRam)
                {
                    compare(epoch.Scrubs[scrub]);
                }
            }
        }
    }

    /// <summary>Makes everything applied durable on the disks themselves.</summary>
    public void FlushDisks()
    {
        foreach (IStandbyDisk disk in _disks)
        {
            disk.Flush();
        }

        _flushedEpoch = AppliedEpoch;
    }

    /// <summary>
    /// The end of protection: flushes the disks and empties the journal. Before anybody else writes to the disks:
    /// an older
    /// epoch that is replayed after them would undo what they wrote.
    /// </summary>
    public void Finish()
    {
        Check.That(AppliedEpoch <= AppendedEpoch);
        FlushDisks();
        Empty(_incarnation, AppliedEpoch);
    }

    private void SwitchIfFull()
    {
        if (_active.LengthBytes < _segmentBytesMax)
        {
            return;
        }

        if (_other.LengthBytes > 0 && AppliedEpoch < _otherLastEpoch)
        {
            return; // not applied yet: the active segment grows, by what the core lets wait at most
        }

        if (_other.LengthBytes > 0 && _flushedEpoch < _otherLastEpoch)
        {
            FlushDisks();
        }

        // All of the old one before any of the new one: else a gap could open between them.
        MakeDurable();
        _other.Truncate(0);
        _otherLastEpoch = AppendedEpoch;
        (_active, _other) = (_other, _active);
    }

    private void MakeDurable()
    {
        _active.Barrier();
        DurableEpoch = AppendedEpoch;
    }

    private void Empty(ulong incarnation, ulong epoch)
    {
        // The older one first: were it left alone by a crash, its replay would undo what the newer one did.
        _other.Truncate(0);
        _active.Truncate(0);
        _incarnation = incarnation;
        _otherLastEpoch = 0;
        AppendedEpoch = DurableEpoch = AppliedEpoch = _flushedEpoch = epoch;
    }

    private JournalRecord RecordOf(DiskWriteMessage write, uint order, uint dataChecksum) => new(
        (JournalKind)write.Operation,
        write.Disk,
        _incarnation,
        write.Epoch,
        order,
        write.Bulk.Length,
        write.OffsetBytes,
        write.LengthBytes,
        dataChecksum);

    private static bool HasChanges(StagedEpoch epoch)
    {
        foreach (DiskWriteMessage write in epoch.DiskWrites)
        {
            if (write.Operation != BlockOperation.Flush)
            {
                return true;
            }
        }

        return false;
    }
}
