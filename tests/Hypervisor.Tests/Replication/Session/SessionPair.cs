using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net;
using System.Threading;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Block.Filters;
using Hypervisor.Core.State;
using Hypervisor.Core.Time;
using Hypervisor.Replication.Disk;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Link;
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

    private const long Milli = 1_000_000;
    private readonly HostClock _clock = new();
    private readonly Guid _vm = Guid.NewGuid();
    private readonly Guid _pair = Guid.NewGuid();
    private readonly SessionNode _first;
    private readonly SessionNode _second;
    private readonly long _takeoverNanos;
    private readonly LinkSecurity _primarySecurity;
    private readonly LinkSecurity _standbySecurity;
    private readonly List<IDisposable> _more = [];
    private ulong _incarnation = 1000;

    /// <summary>
    /// Both sides, the primary not started. The takeover timeout is far longer than any stall of a busy test host,
    /// except where a test waits for it.
    /// </summary>
    public SessionPair(
        Func<string, IJournalStore>? openSegment = null, long standbyRamBytes = RamBytes, int takeoverMillis = 15_000,
        LinkSecurity? primarySecurity = null, LinkSecurity? standbySecurity = null,
        (SharedDisk Primary, SharedDisk Standby)? shared = null)
    {
        _primarySecurity = primarySecurity ?? LinkSecurity.Plain;
        _standbySecurity = standbySecurity ?? LinkSecurity.Plain;
        _takeoverNanos = takeoverMillis * Milli;
        Folder = Directory.CreateTempSubdirectory("hv-pair-").FullName;
        _first = new SessionNode(
            RamBytes, () => Primary?.OnOutboxOverflow(), NewFolder("first"), shared: shared?.Primary);
        _second = new SessionNode(standbyRamBytes, static () => { }, NewFolder("second"), shared: shared?.Standby);
        Standby = NewStandby(
            _second, openSegment ?? (name => new FileJournalStore(Path.Combine(Folder, name))), standbyRamBytes);
    }

    public string Folder { get; }

    public List<ToyDisk> PrimaryDisks => _first.Disks;

    public List<ToyDisk> StandbyDisks => _second.Disks;

    public SharedDisk SharedOfPrimary => _first.Shared[0];

    public ToyConsole PrimaryConsole => _first.Console;

    public ToyConsole StandbyConsole => _second.Console;

    public ToyMachine PrimaryMachine => _first.Machine;

    public ToyMachine StandbyMachine => _second.Machine;

    public SessionLog PrimaryLog => _first.Log;

    public SessionLog StandbyLog => _second.Log;

    public PrimarySession? Primary { get; private set; }

    public StandbySession Standby { get; }

    public string WitnessPath => Path.Combine(Folder, "witness");

    public void StartPrimary()
        => Primary = new PrimarySession(NewSetup(_first, Standby.Address.Port));

    /// <summary>
    /// Protects the guest that the standby took over by another standby, and waits until output comes out so.
    /// </summary>
    /// <param name="isFormerPrimary">Whether it is the one that was the primary, and has its disks.</param>
    public (PrimarySession Primary, SessionNode Standby) ProtectAgain(bool isFormerPrimary = false)
    {
        if (isFormerPrimary)
        {
            _first.Intents.ForEach(log => log.Dispose());
        }

        SessionNode third = isFormerPrimary
            ? new SessionNode(RamBytes, static () => { }, Path.Combine(Folder, "first"), _first.Disks)
            : new SessionNode(RamBytes, static () => { }, NewFolder("third"));
        StandbySession standby = NewStandby(
            third, name => new FileJournalStore(Path.Combine(Folder, "third." + name)), RamBytes, "third.");
        PrimarySession primary = Standby.Succeed(NewSetup(_second, standby.Address.Port));
        _more.AddRange([primary, standby, third]);
        Await(() => primary.Statistics.Status.ReleasedEpoch > 3, $"the new pair never released an epoch\n{third.Log}");
        return (primary, third);
    }

    private PrimarySetup NewSetup(SessionNode node, int port) => new()
    {
        Machine = node.Machine,
        Disks = node.Filters,
        Intents = node.Intents,
        Outboxes = [node.Outbox],
        SharedDisks = node.Shared,
        StandbyHost = "127.0.0.1",
        StandbyPort = port,
        Security = _primarySecurity,
        Witness = new FileWitness(WitnessPath, _clock),
        Options = new PrimaryOptions
        {
            Node = node.Id,
            Machine = Identity(node),
            EpochNanos = 5 * Milli,
            OutputEpochNanos = 2 * Milli,
            HeartbeatNanos = 20 * Milli,
            LeaseNanos = _takeoverNanos * 8 / 10,
            ProgressNanos = _takeoverNanos * 2,
            Compression = new CompressionTerms(LinkCompression.Available),
        },
        Clock = _clock,
        Events = node.Log,
        NextIncarnation = () => ++_incarnation,
        ReconnectMillis = 50,
    };

    /// <summary>Starts both and waits until the pair is protected and some output came out under protection.</summary>
    public void Protect()
    {
        StartPrimary();
        Await(() => Primary!.Statistics.Status.ReleasedEpoch > 3, "the pair never released an epoch");
    }

    /// <summary>Writes as the guest of the first node would.</summary>
    public void WriteAtPrimary(int disk, long offsetBytes, byte[] bytes)
    {
        using var writer = new BlockingBlockDevice(_first.Filters[disk]);
        Assert.Equal(BlockStatus.Ok, writer.Write(offsetBytes, bytes));
    }

    /// <summary>Bytes of a disk whose content the last full copy sent.</summary>
    public long CopiedBytes(int disk) => CopiedBytes(PrimaryLog, disk);

    /// <summary>Likewise, of any primary.</summary>
    public static long CopiedBytes(SessionLog log, int disk)
    {
        string start = $"disk {disk}: ";
        string line = log.ToString().Split('\n').Last(line => line.StartsWith(start, StringComparison.Ordinal));
        return long.Parse(line.Split(' ')[2], CultureInfo.InvariantCulture);
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
    public string CombinedOutput() => Join(PrimaryConsole.Text, _second);

    /// <summary>As above, with what a second takeover repeated.</summary>
    public string CombinedOutput(SessionNode third)
        => Join(PrimaryConsole.Text, _second)[..^_second.Console.Text.Length] + Join(_second.Console.Text, third);

    private static string Join(string before, SessionNode node)
    {
        long from = node.Log.RepeatedFrom >= 0 ? node.Log.RepeatedFrom : before.Length;
        Assert.True(from <= before.Length, "the standby left a hole in the output");
        return before[..(int)from] + node.Console.Text;
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
        _more.ForEach(part => part.Dispose());
        Primary?.Dispose();
        Standby.Dispose();
        _first.Dispose();
        _second.Dispose();
        Directory.Delete(Folder, recursive: true);
    }

    private StandbySession NewStandby(
        SessionNode node, Func<string, IJournalStore> openSegment, long ramBytes, string folder = "")
    {
        var setup = new StandbySetup
        {
            CreateMachine = _ => node.Machine,
            Disks = [.. node.Disks, .. node.Shared],
            Filters = node.Filters,
            SharedDisks = node.Shared,
            Intents = node.Intents,
            Consoles = [node.Outbox],
            StateFolder = Directory.CreateDirectory(Path.Combine(Folder, folder)).FullName,
            Listen = new IPEndPoint(IPAddress.Loopback, 0),
            Security = _standbySecurity,
            HandshakeTimeMax = TimeSpan.FromMinutes(10), // a silent caller must not need it to end
            Witness = new FileWitness(WitnessPath, _clock),
            Options = new StandbyOptions
            {
                Node = node.Id,
                Machine = Identity(node) with { RamBytes = ramBytes },
                TakeoverNanos = _takeoverNanos,
                ProgressNanos = _takeoverNanos * 2,
                StagedBytesMax = 64 << 20,
                Compressions = LinkCompression.Available,
            },
            Clock = _clock,
            Events = node.Log,
            JournalSegmentBytes = 256 << 10,
        };
        return new StandbySession(setup, setup.Witness, openSegment);
    }

    private string NewFolder(string name) => Directory.CreateDirectory(Path.Combine(Folder, name)).FullName;

    private MachineIdentity Identity(SessionNode node)
    {
        ToyMachine machine = node.Machine;
        var sections = new List<SectionFormat>();
        foreach (ICheckpointed component in machine.Components)
        {
            SectionId id = component.Section;
            sections.Add(new SectionFormat(id.Tag, id.Instance, id.Version));
        }

        return new MachineIdentity(
            _vm, _pair, "toy", "toy", machine.Ram.LengthBytes,
            [
                new DiskIdentity("a", SessionNode.DiskBytes),
                new DiskIdentity("b", SessionNode.DiskBytes),
                .. node.Shared.Select(disk => new DiskIdentity("shared", disk.LengthBytes, IsShared: true)),
            ],
            sections);
    }
}
