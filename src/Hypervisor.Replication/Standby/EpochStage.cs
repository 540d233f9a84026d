using System.Collections.Generic;
using System.Linq;
using Hypervisor.Backends.Block;
using Hypervisor.Core;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Standby;

/// <summary>Epochs on their way in: parked by number, bounded, and complete or nothing (rules 7, 9, 23).</summary>
/// <remarks>
/// <code>AppliedEpoch ≤ CommittedEpoch ≤ EndedEpoch &lt; epochs that may still receive</code>
/// At most one epoch is being committed and one applied at a time; the others wait in order.
/// </remarks>
internal sealed class EpochStage(StandbyOptions options)
{
    private const int MessagesMax = 1 << 20; // per incarnation's open epochs: bounds the bookkeeping, not the bytes
    private const int SectorBytes = 512; // unit of the sizes of disks
    private const int TimesKept = 64; // above what may be committed and not acknowledged

    private readonly List<StagedEpoch> _open = [];
    private readonly Queue<StagedEpoch> _verified = new();
    private readonly Queue<StagedEpoch> _committed = new();
    private readonly Stack<StagedEpoch> _spare = new();
    private readonly StandbyTimes[] _times = new StandbyTimes[TimesKept]; // of epoch n at n modulo their number
    private int _openMessages;
    private int _openMax;
    private long[] _diskBytes = [.. options.Machine.Disks.Select(disk => disk.LengthBytes)]; // after EndedEpoch

    /// <summary>Last epoch that arrived whole.</summary>
    public ulong EndedEpoch { get; private set; }

    /// <summary>Last epoch in the journal.</summary>
    public ulong CommittedEpoch { get; private set; }

    /// <summary>Last epoch in RAM and on the disks; its sections are in <see cref="Latest"/>.</summary>
    public ulong AppliedEpoch { get; private set; }

    /// <summary>Payload bytes that are not applied yet.</summary>
    public long StagedBytes { get; private set; }

    /// <summary>Payload bytes of committed epochs that are not applied yet.</summary>
    public long CommittedBytes { get; private set; }

    /// <summary>The epoch that is being committed, or null.</summary>
    public StagedEpoch? Committing { get; private set; }

    /// <summary>The epoch that is being applied, or null.</summary>
    public StagedEpoch? Applying { get; private set; }

    /// <summary>The last applied epoch: kept until the next one is applied (rule 8).</summary>
    public StagedEpoch? Latest { get; private set; }

    /// <summary>Whether nothing committed waits to be applied.</summary>
    public bool IsApplied => Committing is null && Applying is null && _committed.Count == 0;

    /// <summary>Forgets everything and begins an incarnation at epoch 0.</summary>
    public void Reset(int epochsInFlightMax)
    {
        DropUncommitted();
        Drop(Committing);
        Drop(Applying);
        Drop(Latest);
        Committing = Applying = Latest = null;
        while (_committed.TryDequeue(out StagedEpoch? epoch))
        {
            Drop(epoch);
        }

        EndedEpoch = CommittedEpoch = AppliedEpoch = 0;
        StagedBytes = CommittedBytes = 0;
        _diskBytes = [.. options.Machine.Disks.Select(disk => disk.LengthBytes)];
        _openMax = epochsInFlightMax + 2; // in flight, being captured, open
    }

    /// <summary>How long a committed epoch took here, and the last one that was applied.</summary>
    public StandbyTimes TimesOf(ulong epoch) => _times[epoch % TimesKept] with
    {
        ApplyMicros = StandbyTimes.Micros(Latest?.ApplyNanos ?? 0),
    };

    /// <summary>Parks one message of an epoch.</summary>
    /// <returns>Null, or what is wrong with it; then the message is still the caller's.</returns>
    public string? Park(Message message, long nowNanos)
    {
        if (message.Epoch <= EndedEpoch || message.Epoch > EndedEpoch + (ulong)_openMax)
        {
            ulong last = EndedEpoch + (ulong)_openMax;
            return $"{message.Kind} of epoch {message.Epoch}, must be {EndedEpoch + 1} to {last}";
        }

        if (StagedBytes + message.PayloadBytes > options.StagedBytesMax || _openMessages == MessagesMax)
        {
            return $"epoch {message.Epoch}: {StagedBytes + message.PayloadBytes} bytes "
                + $"in {_openMessages + 1} messages, "
                + $"at most {options.StagedBytesMax} bytes in {MessagesMax} are held";
        }

        StagedBytes += message.PayloadBytes;
        _openMessages++;
        StagedEpoch epoch = Open(message.Epoch);
        epoch.Add(message);
        if (epoch.CapturedNanos == 0 && message.Kind is MessageKind.RamBlock or MessageKind.Section)
        {
            epoch.CapturedNanos = nowNanos;
        }

        return null;
    }

    /// <summary>The primary says that an epoch is complete: is it?</summary>
    /// <returns>Null, or what is missing.</returns>
    public string? End(EpochEndMessage end)
    {
        if (end.Epoch != EndedEpoch + 1)
        {
            return $"epoch ended is {end.Epoch}, must be {EndedEpoch + 1}";
        }

        StagedEpoch epoch = Open(end.Epoch);
        EpochTotals totals = epoch.ComputeTotals();
        if (totals != end.Totals)
        {
            return $"epoch {end.Epoch} holds {totals}, must hold {end.Totals}";
        }

        for (int i = 0; i < epoch.DiskWrites.Count; i++)
        {
            if (FindError(epoch.DiskWrites[i], i) is { } error)
            {
                return $"epoch {end.Epoch}: {error}";
            }
        }

        uint place = 0;
        foreach (ScrubMessage scrub in epoch.Scrubs)
        {
            if (FindError(scrub, place, epoch.DiskWrites.Count) is { } error)
            {
                return $"epoch {end.Epoch}: {error}";
            }

            place = scrub.IsRam ? place : scrub.Order;
        }

        epoch.RamDigest = end.RamDigest;
        epoch.SetApart(IsShared);
        _open.Remove(epoch);
        _openMessages -= epoch.MessageCount;
        _verified.Enqueue(epoch);
        EndedEpoch = end.Epoch;
        return null;
    }

    /// <summary>The next epoch to commit, when none is being committed.</summary>
    public StagedEpoch? NextToCommit()
        => Committing is null && _verified.TryDequeue(out StagedEpoch? epoch) ? Committing = epoch : null;

    /// <summary>The journal has it.</summary>
    public StagedEpoch Commit(ulong number)
    {
        StagedEpoch? epoch = Committing;
        Check.That(epoch is not null && epoch.Epoch == number && number == CommittedEpoch + 1);
        Committing = null;
        CommittedEpoch = number;
        _times[number % TimesKept] = new StandbyTimes(
            StandbyTimes.Micros(epoch.StageNanos), StandbyTimes.Micros(epoch.JournalNanos), 0);
        _committed.Enqueue(epoch);
        CommittedBytes += epoch.PayloadBytes;
        return epoch;
    }

    /// <summary>The journal failed on an epoch that was never acknowledged: it never was.</summary>
    public void DropCommitting()
    {
        StagedBytes -= Committing?.PayloadBytes ?? 0;
        Drop(Committing);
        Committing = null;
    }

    /// <summary>The next epoch to apply, when none is being applied.</summary>
    public StagedEpoch? NextToApply()
        => Applying is null && _committed.TryDequeue(out StagedEpoch? epoch) ? Applying = epoch : null;

    /// <summary>RAM and disks have it: it is the latest.</summary>
    public void Apply(ulong number)
    {
        StagedEpoch? epoch = Applying;
        Check.That(epoch is not null && epoch.Epoch == number && number == AppliedEpoch + 1);
        Applying = null;
        AppliedEpoch = number;
        StagedBytes -= epoch.PayloadBytes;
        CommittedBytes -= epoch.PayloadBytes;
        epoch.ReleaseApplied();
        Drop(Latest);
        Latest = epoch;
    }

    /// <summary>Takes the sections of the full copy as epoch 0.</summary>
    public void SetBase(StagedEpoch epoch) => Latest = epoch;

    /// <summary>Throws away what is not committed, except an epoch whose commit is on its way (rule 17).</summary>
    public void DropUncommitted()
    {
        foreach (StagedEpoch epoch in _open)
        {
            StagedBytes -= epoch.PayloadBytes;
            Drop(epoch);
        }

        _open.Clear();
        _openMessages = 0;
        while (_verified.TryDequeue(out StagedEpoch? epoch))
        {
            StagedBytes -= epoch.PayloadBytes;
            Drop(epoch);
        }
    }

    /// <summary>An empty epoch to fill.</summary>
    public StagedEpoch Take(ulong number)
    {
        StagedEpoch epoch = _spare.TryPop(out StagedEpoch? spare) ? spare : new StagedEpoch();
        epoch.Begin(number);
        return epoch;
    }

    /// <summary>What is wrong with the disk range of a message, if it has one.</summary>
    public string? FindRangeError(Message message) => message switch
    {
        DiskWriteMessage { Disk: var disk } when IsShared(disk) => $"disk {disk} is shared and not copied",
        DiskBlockMessage { Disk: var disk } when IsShared(disk) => $"disk {disk} is shared and not copied",
        DiskDigestMessage { Range.Disk: var disk } when IsShared(disk) => $"disk {disk} is shared and not copied",
        ScrubMessage { IsRam: false, Range.Disk: var disk } when IsShared(disk)
            => $"disk {disk} is shared and not compared",
        DiskWriteMessage { Operation: BlockOperation.Resize } => "a disk is not resized during a full copy",
        DiskWriteMessage write => FindRangeError(write.Disk, write.OffsetBytes, write.LengthBytes),
        DiskBlockMessage block => FindRangeError(block.Disk, block.OffsetBytes, block.LengthBytes),
        DiskDigestMessage { Range: var (disk, offset, length) } => FindRangeError(disk, offset, length),
        ScrubMessage { IsRam: false, Range: var (disk, offset, length) } => FindRangeError(disk, offset, length),
        _ => null,
    };

    private bool IsShared(ushort disk)
        => disk < options.Machine.Disks.Count && options.Machine.Disks[disk].IsShared;

    private StagedEpoch Open(ulong number)
    {
        foreach (StagedEpoch epoch in _open)
        {
            if (epoch.Epoch == number)
            {
                return epoch;
            }
        }

        StagedEpoch fresh = Take(number);
        _open.Add(fresh);
        return fresh;
    }

    private string? FindError(DiskWriteMessage write, int place)
    {
        if (write.Order != place)
        {
            return $"disk write {place} has order {write.Order}";
        }

        if (write.Operation != BlockOperation.Resize)
        {
            return FindRangeError(write.Disk, write.OffsetBytes, write.LengthBytes);
        }

        if (write.Disk >= _diskBytes.Length || IsShared(write.Disk) || write.OffsetBytes != 0
            || write.LengthBytes % SectorBytes != 0 || write.LengthBytes == 0)
        {
            return $"resize of disk {write.Disk} of {_diskBytes.Length} to {write.LengthBytes} bytes";
        }

        _diskBytes[write.Disk] = write.LengthBytes;
        return null;
    }

    private string? FindError(ScrubMessage scrub, uint after, int writes)
    {
        if (!scrub.IsRam)
        {
            return scrub.Order >= after && scrub.Order <= writes ? FindRangeError(scrub)
                : $"scrub is after {scrub.Order} disk writes, must be {after} to {writes}";
        }

        (_, long offset, long length) = scrub.Range;
        return length <= options.StagedBytesMax && offset <= options.StagedBytesMax - length ? null
            : $"scrub is of RAM {offset}+{length}, no machine here has so much";
    }

    private string? FindRangeError(int disk, long offsetBytes, long lengthBytes)
    {
        if (disk >= _diskBytes.Length)
        {
            return $"disk is {disk}, there are {_diskBytes.Length}";
        }

        long size = _diskBytes[disk];
        return lengthBytes <= size && offsetBytes <= size - lengthBytes
            ? null
            : $"range is {offsetBytes}+{lengthBytes}, disk {disk} has {size} bytes";
    }

    private void Drop(StagedEpoch? epoch)
    {
        if (epoch is not null)
        {
            epoch.Release();
            _spare.Push(epoch);
        }
    }
}
