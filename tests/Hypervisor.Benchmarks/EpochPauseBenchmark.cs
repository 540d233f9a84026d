using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.IO;
using System.Net;
using System.Threading;
using Hypervisor.Core.Memory;
using Hypervisor.Core.State;
using Hypervisor.Core.Time;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Link;
using Hypervisor.Replication.Session;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Benchmarks;

/// <summary>
/// How long the guest stands still per epoch: a primary and a standby over loopback, a machine that dirties so
/// many pages of
/// 512 MiB in each epoch of 50 ms. Goal: p50 at most 1 ms, p99 at most 5 ms at 2,000 pages.
/// </summary>
internal static class EpochPauseBenchmark
{
    private const long RamBytes = 512L << 20;
    private const long EpochNanos = 50_000_000;

    /// <summary>Runs <c>epoch-pause [dirty pages per epoch] [epochs]</c>.</summary>
    public static int Run(ReadOnlySpan<string> args)
    {
        int pages = args.Length > 0 ? int.Parse(args[0], null) : 2000;
        int epochs = args.Length > 1 ? int.Parse(args[1], null) : 200;
        string folder = Directory.CreateTempSubdirectory("hv-pause-").FullName;
        try
        {
            Measure(folder, pages, epochs);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        return 0;
    }

    private static void Measure(string folder, int pages, int epochs)
    {
        var clock = new HostClock();
        using var source = new PacedMachine(clock, RamBytes, pages, EpochNanos);
        using var target = new PacedMachine(clock, RamBytes, pages, EpochNanos);
        var identity = new MachineIdentity(Guid.NewGuid(), Guid.NewGuid(), "paced", "none", RamBytes, [], []);
        var witness = new FileWitness(Path.Combine(folder, "witness"), clock);
        using var standby = new StandbySession(new StandbySetup
        {
            CreateMachine = _ => target,
            Disks = [],
            Filters = [],
            Consoles = [],
            StateFolder = folder,
            Listen = new IPEndPoint(IPAddress.Loopback, 0),
            Security = LinkSecurity.Plain,
            Witness = witness,
            Options = new StandbyOptions { Node = Guid.NewGuid(), Machine = identity },
            Clock = clock,
            Events = new SilentEvents(),
        });
        ulong incarnation = 0;
        using (var primary = new PrimarySession(new PrimarySetup
        {
            Machine = source,
            Disks = [],
            Outboxes = [],
            StandbyHost = "127.0.0.1",
            StandbyPort = standby.Address.Port,
            Security = LinkSecurity.Plain,
            Witness = witness,
            Options = new PrimaryOptions { Node = Guid.NewGuid(), Machine = identity, EpochNanos = EpochNanos },
            Clock = clock,
            Events = new SilentEvents(),
            NextIncarnation = () => ++incarnation,
        }))
        {
            using var never = new ManualResetEventSlim();
            while (primary.Statistics.Status.AckedEpoch < (ulong)epochs)
            {
                _ = never.Wait(50);
            }

            Print(primary.Statistics);
        }
    }

    private static void Print(in PrimaryStatistics numbers)
    {
        Console.WriteLine($"epochs {numbers.Epochs}, dirty pages {numbers.DirtyPages / numbers.Epochs} per epoch, "
            + $"lines {numbers.DeltaLines / numbers.Epochs}, bytes {numbers.DeltaBytes / numbers.Epochs}");
        Print("pause", numbers.Pause);
        Print("  stop", numbers.StopPart);
        Print("  capture", numbers.CapturePart);
        Print("  rearm", numbers.RearmPart);
        Print("  resume", numbers.ResumePart);
    }

    private static void Print(string name, PauseSummary summary) => Console.WriteLine(
        $"{name,-10} p50 {summary.MedianNanos / 1000.0,8:F1} µs   p99 {summary.P99Nanos / 1000.0,8:F1} µs   "
        + $"max {summary.MaxNanos / 1000.0,8:F1} µs");

    private sealed class SilentEvents : ISessionEvents
    {
        public void OnState(string line) => Console.WriteLine(line);

        public void OnCopyProgress(long doneBytes, long totalBytes)
        {
        }

        public void OnOutputRepeated(int stream, long offsetBytes, int lengthBytes)
        {
        }

        public void OnGuestRunning(ulong generation)
        {
        }

        public void OnEnded(bool isPlanned, string reason)
        {
        }
    }

    /// <summary>One thread that stores to the next page at an even pace, and stops between two stores.</summary>
    private sealed class PacedMachine(IHostClock clock, long ramBytes, int pagesPerEpoch, long epochNanos)
        : IProtectedMachine, IDisposable
    {
        private readonly SemaphoreSlim _parked = new(0);
        private readonly SemaphoreSlim _go = new(0);
        private Thread? _thread;
        private volatile bool _isPausing;
        private volatile bool _isOver;

        public GuestRam Ram { get; } = new(ramBytes);

        public IReadOnlyList<ICheckpointed> Components { get; } = [];

        public void Pause()
        {
            _isPausing = true;
            _parked.Wait();
        }

        public void Resume()
        {
            _isPausing = false;
            if (_thread is null)
            {
                _thread = new Thread(Store) { IsBackground = true };
                _thread.Start();
            }
            else
            {
                _ = _go.Release();
            }
        }

        public void WhenIdle(Action onIdle)
        {
        }

        public void RearmWrites()
        {
        }

        public void AfterLoad()
        {
        }

        public void Dispose()
        {
            _isOver = true;
            _isPausing = false;
            _ = _go.Release();
            _thread?.Join();
            Ram.Dispose();
            _parked.Dispose();
            _go.Dispose();
        }

        private void Store()
        {
            long stepNanos = epochNanos / pagesPerEpoch;
            long due = clock.NowNanos;
            for (long page = 0, count = 1; !_isOver; page = (page + 97) % Ram.PageCount, count++)
            {
                while (!_isPausing && clock.NowNanos < due)
                {
                    Thread.SpinWait(20);
                }

                if (_isPausing)
                {
                    _ = _parked.Release();
                    _go.Wait();
                    due = clock.NowNanos;
                }

                due += stepNanos;
                for (int line = 0; line < 4; line++)
                {
                    BinaryPrimitives.WriteInt64LittleEndian(
                        Ram.WritableBytes((page * PageKernels.PageBytes) + (line * 1024), sizeof(long)), count);
                }
            }
        }
    }
}
