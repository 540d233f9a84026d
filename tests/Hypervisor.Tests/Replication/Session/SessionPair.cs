using System;
using System.Collections.Generic;
using System.IO;
using System.Net;
using System.Threading;
using Hypervisor.Backends.Block.Filters;
using Hypervisor.Backends.Console;
using Hypervisor.Core.State;
using Hypervisor.Core.Time;
using Hypervisor.Replication.Disk;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Session;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Replication.Session;

/// <summary>A primary and a standby in one process, over loopback, with toy machines.</summary>
internal sealed class SessionPair : IDisposable
{
    public const long RamBytes = 4 << 20;

    private const int DiskBytes = 1 << 20;
    private const long Milli = 1_000_000;
    private readonly HostClock _clock = new();
    private readonly Guid _vm = Guid.NewGuid();
    private readonly Guid _pair = Guid.NewGuid();
    private readonly List<EpochTagFilter> _filters = [];
    private readonly long _takeoverNanos;
    private ulong _incarnation = 1000;

    /// <summary>
    /// Both sides, the primary not started. The takeover timeout is far longer than any stall of a busy test host,
    /// except where a test waits for it.
    /// </summary>
    public SessionPair(
        Func<string, IJournalStore>? openSegment = null, long standbyRamBytes = RamBytes, int takeoverMillis = 15_000)
    {
        _takeoverNanos = takeoverMillis * Milli;
        Folder = Directory.CreateTempSubdirectory("hv-pair-").FullName;
        for (int i = 0; i < 2; i++)
        {
            PrimaryDisks.Add(new ToyDisk(DiskBytes));
            StandbyDisks.Add(new ToyDisk(DiskBytes));
            _filters.Add(new EpochTagFilter(PrimaryDisks[i], i));
        }

        Outbox = new OutboxStream(PrimaryConsole, 1 << 20, () => Primary?.OnOutboxOverflow());
        PrimaryMachine = new ToyMachine(RamBytes, _filters, Outbox);
        StandbyMachine = new ToyMachine(standbyRamBytes, StandbyDisks, StandbyConsole);
        Standby = NewStandby(
            openSegment ?? (name => new FileJournalStore(Path.Combine(Folder, name))), standbyRamBytes);
    }

    public string Folder { get; }

    public List<ToyDisk> PrimaryDisks { get; } = [];

    public List<ToyDisk> StandbyDisks { get; } = [];

    public ToyConsole PrimaryConsole { get; } = new();

    public ToyConsole StandbyConsole { get; } = new();

    public OutboxStream Outbox { get; }

    public ToyMachine PrimaryMachine { get; }

    public ToyMachine StandbyMachine { get; }

    public SessionLog PrimaryLog { get; } = new();

    public SessionLog StandbyLog { get; } = new();

    public PrimarySession? Primary { get; private set; }

    public StandbySession Standby { get; }

    public string WitnessPath => Path.Combine(Folder, "witness");

    public void StartPrimary() => Primary = new PrimarySession(new PrimarySetup
    {
        Machine = PrimaryMachine,
        Disks = _filters,
        Outboxes = [Outbox],
        StandbyHost = "127.0.0.1",
        StandbyPort = Standby.Address.Port,
        Witness = new FileWitness(WitnessPath, _clock),
        Options = new PrimaryOptions
        {
            Node = Guid.NewGuid(),
            Machine = Identity(PrimaryMachine),
            EpochNanos = 5 * Milli,
            OutputEpochNanos = 2 * Milli,
            HeartbeatNanos = 20 * Milli,
            LeaseNanos = _takeoverNanos * 8 / 10,
            ProgressNanos = _takeoverNanos * 2,
        },
        Clock = _clock,
        Events = PrimaryLog,
        NextIncarnation = () => ++_incarnation,
        ReconnectMillis = 50,
    });

    /// <summary>Starts both and waits until the pair is protected and some output came out under protection.</summary>
    public void Protect()
    {
        StartPrimary();
        Await(() => Primary!.Statistics.Status.ReleasedEpoch > 3, "the pair never released an epoch");
    }

    public void Await(Func<bool> condition, string otherwise)
    {
        using var never = new ManualResetEventSlim();
        long deadline = _clock.NowNanos + (60_000 * Milli);
        while (!condition())
        {
            Assert.True(_clock.NowNanos < deadline, $"{otherwise}\nprimary: {PrimaryLog}\nstandby: {StandbyLog}");
            never.Wait(1, TestContext.Current.CancellationToken);
        }
    }

    /// <summary>Everything that came out, once: what the standby repeated is dropped by its offset.</summary>
    public string CombinedOutput()
    {
        string first = PrimaryConsole.Text;
        long from = StandbyLog.RepeatedFrom >= 0 ? StandbyLog.RepeatedFrom : first.Length;
        Assert.True(from <= first.Length, "the standby left a hole in the output");
        return first[..(int)from] + StandbyConsole.Text;
    }

    /// <summary>Output is 1, 2, 3, … without a hole or a repetition.</summary>
    public static int AssertContiguous(string output)
    {
        string[] lines = output.Split('\n');
        for (int i = 0; i < lines.Length - 1; i++)
        {
            Assert.Equal($"{i + 1}", lines[i]);
        }

        return lines.Length - 1;
    }

    public void Dispose()
    {
        Primary?.Dispose();
        Standby.Dispose();
        PrimaryMachine.Dispose();
        StandbyMachine.Dispose();
        PrimaryDisks.ForEach(disk => disk.Dispose());
        StandbyDisks.ForEach(disk => disk.Dispose());
        Directory.Delete(Folder, recursive: true);
    }

    private StandbySession NewStandby(Func<string, IJournalStore> openSegment, long ramBytes)
    {
        var setup = new StandbySetup
        {
            CreateMachine = _ => StandbyMachine,
            Disks = StandbyDisks,
            Consoles = [StandbyConsole],
            StateFolder = Folder,
            Listen = new IPEndPoint(IPAddress.Loopback, 0),
            Witness = new FileWitness(WitnessPath, _clock),
            Options = new StandbyOptions
            {
                Node = Guid.NewGuid(),
                Machine = Identity(StandbyMachine) with { RamBytes = ramBytes },
                TakeoverNanos = _takeoverNanos,
                ProgressNanos = _takeoverNanos * 2,
                StagedBytesMax = 64 << 20,
            },
            Clock = _clock,
            Events = StandbyLog,
            JournalSegmentBytes = 256 << 10,
        };
        return new StandbySession(setup, setup.Witness, openSegment);
    }

    private MachineIdentity Identity(ToyMachine machine)
    {
        var sections = new List<SectionFormat>();
        foreach (ICheckpointed component in machine.Components)
        {
            SectionId id = component.Section;
            sections.Add(new SectionFormat(id.Tag, id.Instance, id.Version));
        }

        return new MachineIdentity(
            _vm, _pair, "toy", "toy", machine.Ram.LengthBytes,
            [new DiskIdentity("a", DiskBytes), new DiskIdentity("b", DiskBytes)], sections);
    }
}
