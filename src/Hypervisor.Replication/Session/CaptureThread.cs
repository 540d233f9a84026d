using System;
using System.Collections.Generic;
using System.IO;
using System.Threading;
using Hypervisor.Backends;
using Hypervisor.Backends.Block.Filters;
using Hypervisor.Backends.Console;
using Hypervisor.Core.Memory;
using Hypervisor.Core.State;
using Hypervisor.Replication.Capture;
using Hypervisor.Replication.Disk;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Link;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Session;

/// <summary>The one thread of a primary that pauses, resumes, cuts and copies. Takes commands in order.</summary>
/// <remarks>
/// It is not the session's thread: a guest thread may hold the bus lock while it waits for a chunk, and only the
/// session's
/// thread can bring the chunk back. So whoever pauses must not be whoever empties the pools.
/// </remarks>
internal sealed class CaptureThread : IDisposable
{
    private const int SmallRoundPages = 1024; // what a cut copies within a few milliseconds
    private const int RoundsMax = 30;         // who dirties faster than the link copies gets a large first epoch

    private const long ReportNanos = 50_000_000; // time between two words about the full copy: more than an eye sees

    private readonly PrimarySetup _setup;
    private readonly IEpochOutbox[] _outboxes;
    private readonly CaptureMeter _meter;
    private readonly GuestGate _guest;
    private readonly Inbox<Command> _commands = new();
    private readonly Thread _thread;
    private long _nextReportNanos;

    /// <summary>Starts the thread.</summary>
    /// <param name="setup">The session's.</param>
    /// <param name="meter">Where pauses are counted.</param>
    /// <param name="isRunning">Whether the guest runs already; else the machine is paused.</param>
    public CaptureThread(PrimarySetup setup, CaptureMeter meter, bool isRunning = false)
    {
        _setup = setup;
        _outboxes = [.. setup.AllOutboxes];
        _meter = meter;
        _guest = new GuestGate(setup.Machine, isRunning);
        _thread = new Thread(Run) { Name = "capture", IsBackground = true };
        _thread.Start();
    }

    private enum Kind : byte
    {
        Start,
        Hold,
        LetGo,
        Stop,
        Copy,
        Cut,
        Close,
        Quit,
    }

    private readonly record struct Command(Kind Kind, CaptureRun? Run = null, ulong Epoch = 0, Action? Call = null);

    /// <summary>Lets the guest run, or stand still for a while.</summary>
    public void Hold(bool isHeld) => _commands.Post(new Command(isHeld ? Kind.Hold : Kind.LetGo));

    /// <summary>Starts the guest, then calls back on this thread.</summary>
    public void StartGuest(Action onStarted) => _commands.Post(new Command(Kind.Start, Call: onStarted));

    /// <summary>Stops the guest for ever, then calls back on this thread.</summary>
    public void StopGuest(Action onStopped) => _commands.Post(new Command(Kind.Stop, Call: onStopped));

    /// <summary>Begins the full copy of a run.</summary>
    public void StartFullCopy(CaptureRun run) => _commands.Post(new Command(Kind.Copy, run));

    /// <summary>Cuts <paramref name="epoch"/> off.</summary>
    public void Cut(CaptureRun run, ulong epoch) => _commands.Post(new Command(Kind.Cut, run, epoch));

    /// <summary>Frees a stopped run.</summary>
    public void Close(CaptureRun run) => _commands.Post(new Command(Kind.Close, run));

    /// <inheritdoc/>
    public void Dispose()
    {
        _commands.Post(new Command(Kind.Quit));
        _thread.Join();
        _commands.Dispose();
    }

    private void Run()
    {
        while (true)
        {
            if (!_commands.TryTake(Timeout.Infinite, out Command command))
            {
                continue;
            }

            switch (command.Kind)
            {
                case Kind.Start:
                    _guest.Start();
                    break;
                case Kind.Hold or Kind.LetGo:
                    _guest.Hold(command.Kind == Kind.Hold);
                    break;
                case Kind.Stop:
                    _guest.Stop();
                    break;
                case Kind.Copy:
                    CopyAll(command.Run!);
                    break;
                case Kind.Cut:
                    TakeCut(command.Run!, command.Epoch);
                    break;
                case Kind.Close:
                    _guest.Pause(); // no thread may be inside the copier when its memory goes
                    command.Run!.Dispose();
                    _guest.Settle();
                    break;
                case Kind.Quit:
                    return;
            }

            command.Call?.Invoke();
        }
    }

    private void CopyAll(CaptureRun run)
    {
        if (!TryBeginIntents(run))
        {
            return;
        }

        _ = BeginRound(run, isFirst: true);
        for (int i = 0; i < run.Announced.Count; i++)
        {
            // From here on a resize is refused until the copy is over. One that came before nobody tells the standby.
            if (_setup.Disks[i].SizeAheadBytes != run.Announced[i].LengthBytes)
            {
                run.Post(PrimaryEventKind.Failure, text: $"disk {i} was resized while the copy began");
                return;
            }
        }

        List<EpochTagFilter> copied = _setup.OwnDisks;
        long total = run.Copier.CountChanged(run.Plan.RamAfter) * PageKernels.PageBytes;
        copied.ForEach(disk => total += disk.Changes.CountBytes(run.Plan.DisksAfter));
        long done = 0;
        foreach (EpochTagFilter disk in copied)
        {
            var copy = new DiskCopy(run, disk, bytes => Report(done += bytes, total));
            if (!copy.TryRun())
            {
                return;
            }

            string how = run.Plan.DisksAfter is null ? "all of it was compared" : "what had changed was compared";
            _setup.Events.OnState(
                $"disk {disk.Disk}: {copy.CopiedBytes} of {disk.LengthBytes} bytes were copied, {how}");
        }

        if (!run.Copier.CopyChanged(run.Plan.RamAfter, pages => Report(done + (pages * PageKernels.PageBytes), total)))
        {
            return;
        }

        for (int round = 0, dirty = int.MaxValue; round < RoundsMax && dirty > SmallRoundPages; round++)
        {
            dirty = BeginRound(run, isFirst: false);
            if (run.IsStopped || !run.Copier.CopyRound())
            {
                return;
            }
        }

        run.Post(PrimaryEventKind.CopyConverged);
    }

    /// <summary>Before anything of this life changes: what changes is to be known durably from here on.</summary>
    private bool TryBeginIntents(CaptureRun run)
    {
        try
        {
            foreach (WriteIntentLog log in _setup.Intents)
            {
                log.Begin(new ReplicaPoint(run.Plan.Incarnation, 0));
            }

            return true;
        }
        catch (IOException error)
        {
            run.Post(PrimaryEventKind.Failure, text: $"write-intent log: {error.Message}");
            return false;
        }
    }

    /// <summary>
    /// A short pause in which the dirty pages are listed; their vCPU write tags must go, so that they get dirty
    /// again.
    /// </summary>
    private int BeginRound(CaptureRun run, bool isFirst)
    {
        PauseWhole();
        int dirty = 0;
        lock (run.Gate)
        {
            if (!run.IsStopped)
            {
                dirty = run.Copier.BeginRound();
                for (int i = 0; isFirst && i < _setup.Disks.Count; i++)
                {
                    _setup.Disks[i].Observe(run, epoch: 0, run.Plan.BaseStamp);
                }
            }
        }

        _setup.Machine.RearmWrites();
        GoOn();
        run.Copier.StampListed(run.Plan.BaseStamp);
        return dirty;
    }

    private void Report(long done, long total)
    {
        long now = _setup.Clock.NowNanos;
        if (done >= total || now >= _nextReportNanos)
        {
            _nextReportNanos = now + ReportNanos;
            _setup.Events.OnCopyProgress(done, total);
        }
    }

    private void TakeCut(CaptureRun run, ulong epoch)
    {
        Chunk? sections = run.SectionPool.Rent(); // before the pause: it may wait for the link
        if (sections is null)
        {
            return;
        }

        long start = _setup.Clock.NowNanos;
        PauseWhole();
        long stopped = _setup.Clock.NowNanos;
        string? failure = TryCapture(run, epoch, sections);
        long captured = _setup.Clock.NowNanos;
        _setup.Machine.RearmWrites();
        long rearmed = _setup.Clock.NowNanos;
        GoOn();
        long resumed = _setup.Clock.NowNanos;
        _meter.AddPause(start, stopped, captured, rearmed, resumed);
        run.Copier.StampListed(run.Plan.BaseStamp + epoch);
        if (failure is not null)
        {
            sections.Dispose();
            run.Post(PrimaryEventKind.Failure, text: failure);
            return;
        }

        SendCut(run, epoch, sections, start, resumed);
    }

    // The guest, and what it submitted before that waits for a log of what is about to change.
    private void PauseWhole()
    {
        foreach (WriteIntentLog log in _setup.Intents)
        {
            log.HoldBack();
        }

        _guest.Pause();
    }

    private void GoOn()
    {
        _guest.Settle();
        foreach (WriteIntentLog log in _setup.Intents)
        {
            log.GoOn();
        }
    }

    /// <summary>The inside of the pause: nothing here may wait for anybody.</summary>
    /// <returns>Null, or why there is no cut.</returns>
    private string? TryCapture(CaptureRun run, ulong epoch, Chunk sections)
    {
        lock (run.Gate)
        {
            if (run.IsStopped)
            {
                return "capture was stopped";
            }

            try
            {
                sections.Advance(SectionCapture.Save(_setup.Machine.Components, sections.Free));
            }
            catch (StateFormatException e)
            {
                return e.Message;
            }

            _ = run.Copier.Cut();
            foreach (EpochTagFilter disk in _setup.Disks)
            {
                disk.EnterCut();
            }

            BeginEpoch(epoch + 1);
            run.Post(PrimaryEventKind.CutTaken, epoch: epoch); // behind the last disk write, before the next one
            foreach (EpochTagFilter disk in _setup.Disks)
            {
                disk.ExitCut();
            }

            return null;
        }
    }

    private void BeginEpoch(ulong epoch)
    {
        foreach (EpochTagFilter disk in _setup.Disks)
        {
            disk.BeginEpoch(epoch);
        }

        for (int i = 0; i < _outboxes.Length; i++)
        {
            _outboxes[i].BeginEpoch(epoch); // rule 2: in place before the vCPUs resume
        }
    }

    private void SendCut(CaptureRun run, ulong epoch, Chunk sections, long startNanos, long resumedNanos)
    {
        if (epoch == 0 && !_setup.TryFlushShared())
        {
            run.Post(PrimaryEventKind.Failure, text: "a shared disk cannot be flushed");
        }

        run.CopyEpoch = epoch;
        run.IsFullCopy = false;
        var message = new SectionMessage { Epoch = epoch };
        message.Attach(sections.Content, sections);
        run.Post(PrimaryEventKind.Captured, message);
        for (int i = 0; i < _setup.Outboxes.Count; i++)
        {
            if (!TrySendOutput(run, epoch, i, _setup.Outboxes[i]))
            {
                return;
            }
        }

        run.Copier.Writer.ResetCounts();
        if (!run.Copier.CopyCut())
        {
            return; // stopped: whoever did that also freed the pages
        }

        long copied = _setup.Clock.NowNanos - resumedNanos;
        run.Scrub?.AfterCut();
        _meter.Epochs.AddCopy(copied);
        _meter.AddEpoch(run.Copier.ListedPages, run.Copier.Writer.Lines, run.Copier.Writer.Bytes);
        var cost = new EpochCost(resumedNanos - startNanos, copied, run.Copier.ListedPages);
        run.PostDone(epoch, run.Copier.Writer.Digest.Value, cost);
    }

    private static bool TrySendOutput(CaptureRun run, ulong epoch, int stream, OutboxStream outbox)
    {
        int rest = outbox.ClosedBytes(epoch, out long offset);
        while (rest > 0)
        {
            Chunk? chunk = run.RentChunk();
            if (chunk is null)
            {
                return false;
            }

            int count = Math.Min(rest, chunk.Free.Length);
            if (!outbox.TryPeek(offset, chunk.Free[..count]))
            {
                chunk.Dispose(); // let out or dropped meanwhile: protection has ended
                return false;
            }

            chunk.Advance(count);
            var message = new OutputMessage { Epoch = epoch, Stream = (ushort)stream, OffsetBytes = offset };
            message.Attach(chunk.Content, chunk);
            run.Post(PrimaryEventKind.Captured, message);
            offset += count;
            rest -= count;
        }

        return true;
    }
}
