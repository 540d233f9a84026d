using System;
using System.Collections.Generic;
using System.IO;
using System.Threading;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Block.Filters;
using Hypervisor.Core.Host;
using Hypervisor.Core.State;
using Hypervisor.Replication.Capture;
using Hypervisor.Replication.Disk;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Session;

/// <summary>
/// The one thread of a standby that touches its RAM, disks and journal. Takes orders one after the other.
/// </summary>
internal sealed partial class StandbyWorker : IDisposable
{
    private const int QueuedCopiesMax = 512; // 32 MiB of full copy; then the session waits, and so the primary

    private readonly StandbySetup _setup;
    private readonly Inbox<StandbyEvent> _answers;
    private readonly Inbox<Order> _orders = new();
    private readonly SemaphoreSlim _copyCredit = new(QueuedCopiesMax);
    private readonly List<StandbyDisk> _disks = [];
    private readonly EpochJournal _journal;
    private readonly string _markPath;
    private readonly Thread _thread;
    private IProtectedMachine? _machine;
    private RamDigest? _digest; // of its RAM
    private ulong _incarnation;
    private ulong _generation;
    private ulong _appliedEpoch;
    private bool _hasFailed; // of the full copy; told once
    private string? _sharedError; // first one of the shared disks at a takeover

    /// <summary>Brings the disks to the last committed epoch, then starts the thread.</summary>
    /// <exception cref="IOException">Journal or disks cannot be read or written.</exception>
    public StandbyWorker(
        StandbySetup setup, Inbox<StandbyEvent> answers, IJournalStore firstSegment, IJournalStore secondSegment)
    {
        _setup = setup;
        _answers = answers;
        _markPath = Path.Combine(setup.StateFolder, StateFolder.Mark);
        for (int i = 0; i < setup.Disks.Count; i++)
        {
            _disks.Add(new StandbyDisk(setup.Options.Machine.Disks[i].Id, setup.Disks[i]));
        }

        _journal = new EpochJournal(firstSegment, secondSegment, _disks, setup.JournalSegmentBytes);
        RestoredMark = Restore();
        _thread = new Thread(Run) { Name = "standby-worker", IsBackground = true };
        _thread.Start();
    }

    private enum OrderKind : byte
    {
        BeginFullCopy,
        ApplyCopied,
        FinishFullCopy,
        Commit,
        Apply,
        Flush,
        WriteGeneration,
        WriteShared,
        GoLive,
        Discard,
        CopyGuest,
        Quit,
    }

    private readonly record struct Order(
        OrderKind Kind,
        Message? Message = null,
        StagedEpoch? Staged = null,
        ulong Number = 0,
        bool IsDurable = false,
        ReplicaPoint Point = default,
        GuestCopy? Copy = null);

    /// <summary>What the disks were at the start, as far as it can be trusted; null: nothing is known.</summary>
    public StandbyMark? RestoredMark { get; }

    /// <summary>The machine, once a primary announced one.</summary>
    public IProtectedMachine? Machine => Volatile.Read(ref _machine); // pairs with BeginFullCopy

    public void BeginFullCopy(HelloMessage hello, ReplicaPoint point)
        => _orders.Post(new Order(OrderKind.BeginFullCopy, hello, Point: point));

    /// <summary>Waits when too much is queued: backpressure on the session and, by TCP, on the primary.</summary>
    public void ApplyCopied(Message message)
    {
        _copyCredit.Wait();
        _orders.Post(new Order(OrderKind.ApplyCopied, message));
    }

    public void FinishFullCopy(FullCopyDoneMessage done, StagedEpoch staged)
        => _orders.Post(new Order(OrderKind.FinishFullCopy, done, staged));

    public void Commit(StagedEpoch epoch, bool isDurable)
        => _orders.Post(new Order(OrderKind.Commit, Staged: epoch, Number: epoch.Epoch, IsDurable: isDurable));

    public void Apply(StagedEpoch epoch)
        => _orders.Post(new Order(OrderKind.Apply, Staged: epoch, Number: epoch.Epoch));

    public void Flush() => _orders.Post(new Order(OrderKind.Flush));

    public void WriteGeneration(ulong generation, ulong epoch)
    {
        _generation = generation; // read by the thread after the order below
        _orders.Post(new Order(OrderKind.WriteGeneration, Number: epoch));
    }

    public void WriteShared(DiskWriteMessage write) => _orders.Post(new Order(OrderKind.WriteShared, write));

    public void GoLive(StagedEpoch epoch) => _orders.Post(new Order(OrderKind.GoLive, Staged: epoch));

    public void Discard(ReplicaPoint point) => _orders.Post(new Order(OrderKind.Discard, Point: point));

    /// <inheritdoc/>
    public void Dispose()
    {
        _closing.Set();
        _orders.Post(new Order(OrderKind.Quit));
        _thread.Join();
        _orders.Dispose();
        _copyCredit.Dispose();
        _closing.Dispose();
        _disks.ForEach(disk => disk.Dispose());
    }

    private void Run()
    {
        while (true)
        {
            if (!_orders.TryTake(Timeout.Infinite, out Order order))
            {
                continue;
            }

            if (order.Kind == OrderKind.Quit)
            {
                return;
            }

            string? error = null;
            try
            {
                Do(order);
            }
            catch (Exception e) when (e is IOException or StateFormatException or HostException
                or NotSupportedException or UnauthorizedAccessException)
            {
                error = e.Message;
            }

            Answer(order, error);
        }
    }

    private void Do(in Order order)
    {
        switch (order.Kind)
        {
            case OrderKind.BeginFullCopy:
                DoBegin((HelloMessage)order.Message!, order.Point);
                break;
            case OrderKind.ApplyCopied:
                DoCopied(order.Message!);
                break;
            case OrderKind.FinishFullCopy:
                DoFinish((FullCopyDoneMessage)order.Message!, order.Staged!);
                break;
            case OrderKind.Commit:
                DoCommit(order.Staged!, order.IsDurable);
                break;
            case OrderKind.Apply:
                DoApply(order.Staged!);
                break;
            case OrderKind.Flush:
                // The end of protection: a journal that stayed would be replayed over whatever is written after it.
                _journal.Finish();
                Mark(StandbyPhase.Complete, new ReplicaPoint(_incarnation, _appliedEpoch));
                break;
            case OrderKind.WriteGeneration:
                Mark(StandbyPhase.Promoted, new ReplicaPoint(_incarnation, order.Number));
                _journal.Begin(_incarnation);
                break;
            case OrderKind.WriteShared:
                AcquireShared();
                DoWriteShared((DiskWriteMessage)order.Message!);
                break;
            case OrderKind.GoLive:
                foreach (EpochTagFilter filter in _setup.Filters)
                {
                    filter.LookAtSize();
                }

                AcquireShared();
                FinishShared();
                LoadSections(order.Staged!);
                _machine!.AfterLoad();
                _machine.Resume();
                break;
            case OrderKind.Discard:
                Mark(StandbyPhase.Outdated, order.Point);
                break;
            case OrderKind.CopyGuest:
                DoCopyGuest(order.Copy!);
                break;
            case OrderKind.Quit:
                break;
        }
    }

    private void Answer(in Order order, string? error)
    {
        switch (order.Kind)
        {
            case OrderKind.BeginFullCopy:
                Post(StandbyEventKind.FullCopyReady, error);
                break;
            case OrderKind.ApplyCopied:
                order.Message!.Release();
                _ = _copyCredit.Release();
                if (error is not null && !_hasFailed)
                {
                    _hasFailed = true;
                    Post(StandbyEventKind.Failure, error);
                }

                break;
            case OrderKind.FinishFullCopy:
                Post(StandbyEventKind.FullCopyFinished, error);
                break;
            case OrderKind.Commit:
                Post(StandbyEventKind.EpochCommitted, error, order.Number);
                break;
            case OrderKind.Apply:
                Post(StandbyEventKind.EpochApplied, error, order.Number);
                break;
            case OrderKind.Flush:
                Post(StandbyEventKind.DisksFlushed, error);
                break;
            case OrderKind.WriteGeneration:
                Post(StandbyEventKind.GenerationWritten, error);
                break;
            case OrderKind.GoLive:
                Post(StandbyEventKind.WentLive, error);
                break;
            case OrderKind.CopyGuest:
                order.Copy!.Finish(_latest?.Epoch ?? 0, error);
                Post(StandbyEventKind.GuestCopied, error);
                break;
            case OrderKind.WriteShared:
                order.Message!.Release();
                _sharedError ??= error; // GoLive answers with it
                break;
            case OrderKind.Discard or OrderKind.Quit:
                break;
        }
    }

    private void Post(StandbyEventKind kind, string? error, ulong epoch = 0)
        => _answers.Post(new StandbyEvent(kind, Epoch: epoch, Text: error));

    private void DoCommit(StagedEpoch epoch, bool isDurable)
    {
        long start = Now;
        epoch.StageNanos = start - epoch.CapturedNanos;
        // Everything that an apply could stumble over, before anybody is told that the epoch is safe (rules 7, 8).
        foreach (RamBlockMessage ram in epoch.RamBlocks)
        {
            CheckRam(ram);
        }

        foreach (DiskWriteMessage write in epoch.DiskWrites)
        {
            if (write.Operation == BlockOperation.Resize)
            {
                _disks[write.Disk].CheckResize(write.LengthBytes);
            }
        }

        SectionCapture.CheckFrames(_machine!.Components, Gather(epoch));
        _journal.Append(epoch, isDurable);
        epoch.JournalNanos = Now - start;
    }

    private void Mark(StandbyPhase phase, ReplicaPoint point)
        => new StandbyMark(phase, _generation, point).Store(_markPath);

    private void CheckRam(RamBlockMessage ram)
    {
        if (!RamDelta.TryCheck(ram.Bulk.Span, _machine!.Ram.PageCount, out string? refusal))
        {
            throw new StateFormatException(refusal);
        }
    }

    private void DoApply(StagedEpoch epoch)
    {
        long start = Now;
        foreach (RamBlockMessage ram in epoch.RamBlocks)
        {
            RamDelta.Apply(ram.Bulk.Span, _machine!.Ram, _digest!);
        }

        if (epoch.RamDigest is { } expected && expected != _digest!.Value)
        {
            throw new StateFormatException(
                $"the digest of RAM is {_digest.Value:X16}, the primary's is {expected:X16}");
        }

        CompareRam(epoch);
        _journal.Apply(epoch, CompareDisk);
        _appliedEpoch = epoch.Epoch;
        epoch.ApplyNanos = Now - start;
        _latest = epoch;
    }

    private long Now => _setup.Clock.NowNanos;

    private void LoadSections(StagedEpoch epoch) => SectionCapture.Load(_machine!.Components, Gather(epoch));

    private static byte[] Gather(StagedEpoch epoch)
    {
        int length = 0;
        foreach (SectionMessage section in epoch.Sections)
        {
            length += section.Bulk.Length;
        }

        byte[] all = new byte[length];
        int at = 0;
        foreach (SectionMessage section in epoch.Sections)
        {
            section.Bulk.CopyTo(all.AsMemory(at));
            at += section.Bulk.Length;
        }

        return all;
    }
}
