using System;
using System.Threading;
using Hypervisor.Backends.Block.Filters;
using Hypervisor.Core.Memory;
using Hypervisor.Replication.Capture;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Session;

/// <summary>Reads all disks, then all RAM, for the standby to compare, at a bounded rate.</summary>
/// <remarks>Disks on a thread of its own; RAM on the capture thread, after each cut.</remarks>
internal sealed class Scrub : IDisposable
{
    private const long NanosPerSecond = 1_000_000_000;
    private const int RamPagesPerCut = 1024; // under a millisecond of the capture thread's
    private const int MillisPerSecond = 1000;

    private readonly CaptureRun _run;
    private readonly PrimarySetup _setup;
    private readonly long _bytesPerSecond;
    private readonly ManualResetEventSlim _stopped = new();
    private readonly Thread _thread;
    private volatile bool _isRamDue; // set by the thread at its end, cleared by the capture thread
    private long _nextPage;
    private long _lastNanos;

    /// <summary>Begins with the disks.</summary>
    public Scrub(CaptureRun run, PrimarySetup setup, long bytesPerSecond)
    {
        _run = run;
        _setup = setup;
        _bytesPerSecond = bytesPerSecond;
        _thread = new Thread(ReadDisks) { Name = "scrub", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Makes it end. Any thread.</summary>
    public void Stop() => _stopped.Set();

    /// <summary>A cut was copied: hands over the next pages as of it. On the capture thread.</summary>
    public void AfterCut()
    {
        if (!_isRamDue)
        {
            return;
        }

        long now = _setup.Clock.NowNanos;
        double due = (double)(now - _lastNanos) * _bytesPerSecond / NanosPerSecond / PageKernels.PageBytes;
        long left = _setup.Machine.Ram.PageCount - _nextPage;
        int count = (int)Math.Min(Math.Min(due, RamPagesPerCut), left);
        if (count == 0)
        {
            return;
        }

        _lastNanos = now;
        byte[] hashes = new byte[count * sizeof(ulong)];
        for (int i = 0; i < count; i++)
        {
            if (!_run.Copier.TryHash((int)_nextPage + i, out ulong hash))
            {
                _run.Post(
                    PrimaryEventKind.Failure, text: $"scrub: page {_nextPage + i} of RAM changed without being marked");
                _isRamDue = false;
                return;
            }

            ScrubHashes.Put(hashes, i, hash);
        }

        _run.PostScrub(
            new DiskRange(ScrubMessage.Ram, _nextPage * PageKernels.PageBytes, (long)count * PageKernels.PageBytes),
            hashes);
        _nextPage += count;
        if (count == left)
        {
            _isRamDue = false;
            _run.Post(PrimaryEventKind.ScrubSent);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Stop();
        _thread.Join();
        _stopped.Dispose();
    }

    private void ReadDisks()
    {
        foreach (EpochTagFilter disk in _setup.OwnDisks) // there is one copy only of a shared one
        {
            for (long offset = 0; offset < disk.LengthBytes; offset += CaptureRun.RangeBytes)
            {
                long start = _setup.Clock.NowNanos;
                int length = (int)Math.Min(CaptureRun.RangeBytes, disk.LengthBytes - offset);
                if (!_run.TryScrubRange(disk, offset, length))
                {
                    return;
                }

                long took = (_setup.Clock.NowNanos - start) / (NanosPerSecond / MillisPerSecond);
                long rest = ((long)length * MillisPerSecond / _bytesPerSecond) - took;
                if (_stopped.Wait((int)Math.Clamp(rest, 0, int.MaxValue)))
                {
                    return;
                }
            }
        }

        _lastNanos = _setup.Clock.NowNanos;
        _isRamDue = true;
    }
}
