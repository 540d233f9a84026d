using System;
using System.Collections.Generic;
using System.IO;
using System.Net;
using System.Security.Cryptography;
using System.Threading;
using System.Threading.Tasks;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Block.Filters;
using Hypervisor.Core.Memory;
using Hypervisor.Core.State;
using Hypervisor.Core.Time;
using Hypervisor.Replication.Capture;
using Hypervisor.Replication.Disk;
using Hypervisor.Replication.Link;
using Hypervisor.Replication.Session;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Replication.Session;

/// <summary>The standby's worker over real journal files; the test is the session.</summary>
public sealed partial class StandbyWorkerTests : IDisposable
{
    private const int DiskBytes = 64 << 10;
    private const int PageAt = 40 * PageKernels.PageBytes;
    private const int AnswerMillisMax = 60_000;

    private readonly string _folder = Directory.CreateTempSubdirectory("hv-worker-").FullName;
    private readonly ToyDisk _disk = new(DiskBytes);
    private readonly FreezableDisk _freezable;
    private readonly List<EpochTagFilter> _filters = [];
    private readonly ToyConsole _console = new();
    private readonly ToyMachine _machine;
    private readonly FileJournalStore _first;
    private readonly FileJournalStore _second;
    private readonly TickingClock _clock = new();
    private readonly Inbox<StandbyEvent> _answers = new();
    private DateTime _imagesWritten = DateTime.MinValue;
    private WriteIntentLog[] _intents = [];
    private StandbyWorker _worker;

    public StandbyWorkerTests()
    {
        _freezable = new FreezableDisk(_disk);
        _machine = new ToyMachine(GuestRam.BytesMin, [_disk], _console);
        _first = new FileJournalStore(Path.Combine(_folder, "first"));
        _second = new FileJournalStore(Path.Combine(_folder, "second"));
        _worker = NewWorker();
    }

    public void Dispose()
    {
        _worker.Dispose();
        _answers.Dispose();
        _freezable.Dispose();
        _first.Dispose();
        _second.Dispose();
        _machine.Dispose();
        _disk.Dispose();
        _console.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void Rule_25_full_copy_that_ends_in_the_primarys_digest_is_taken()
    {
        Begin();
        _worker.ApplyCopied(Block(1));

        _worker.FinishFullCopy(Done(DigestOfRam()), State(0));

        Assert.Null(Await(StandbyEventKind.FullCopyFinished));
        Assert.Equal(1, _disk.Content[0]);
    }

    [Fact]
    public void Rule_25_full_copy_that_ends_in_another_digest_of_RAM_is_refused()
    {
        Begin();

        _worker.FinishFullCopy(Done(DigestOfRam() ^ 1), State(0));

        Assert.Contains("digest of RAM", Await(StandbyEventKind.FullCopyFinished), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, null)]
    [InlineData(1, "digest of RAM is")]
    public void Rule_07_applied_epoch_has_the_digest_that_the_primary_had(uint flip, string? error)
    {
        CopyAll();
        var digest = new RamDigest(_machine.Ram.PageCount);
        digest.Recompute(_machine.Ram);
        byte[] page = new byte[PageKernels.PageBytes];
        page[8] = 5;
        digest.Update(3, page);
        StagedEpoch epoch = State(1);
        var ram = new RamBlockMessage { Epoch = 1, PageCount = 1 };
        ram.Attach(Convert.FromHexString("03000000" + "0100000000000000" + "0200" + "0500000000000000"), null);
        epoch.Add(ram);
        epoch.RamDigest = digest.Value ^ flip;

        _worker.Commit(epoch, isDurable: false);
        Assert.Null(Await(StandbyEventKind.EpochCommitted));
        _worker.Apply(epoch);

        string? refusal = Await(StandbyEventKind.EpochApplied);
        Assert.Equal(error is null, refusal is null);
        Assert.Contains(error ?? "", refusal ?? "", StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1, true)]
    [InlineData(2, false)]
    public void Rule_38_what_the_disk_has_is_the_answer(byte value, bool isSame)
    {
        Begin();
        _worker.ApplyCopied(Block(1)); // before: it counts
        Span<byte> there = stackalloc byte[512];
        there.Fill(value);

        _worker.ApplyCopied(new DiskDigestMessage
        {
            Range = new DiskRange(0, 0, there.Length),
            Digest = SHA256.HashData(there),
        });

        StandbyEvent answer = AwaitEvent(StandbyEventKind.Compared);
        Assert.Equal(new DiskRange(0, 0, 512), answer.Range);
        Assert.Equal(isSame, answer.IsSame);
    }

    [Fact]
    public void Rule_22_full_copy_with_a_piece_that_failed_does_not_finish()
    {
        Begin();
        _disk.WriteStatus = BlockStatus.IoError;
        _worker.ApplyCopied(Block(1));
        Assert.Contains("IoError", Await(StandbyEventKind.Failure), StringComparison.Ordinal);
        _disk.WriteStatus = BlockStatus.Ok;
        _worker.ApplyCopied(Block(2));

        _worker.FinishFullCopy(Done(DigestOfRam()), State(0));

        Assert.Contains("failed", Await(StandbyEventKind.FullCopyFinished), StringComparison.Ordinal);
    }

    [Fact]
    public void Rule_21_nothing_is_replayed_over_what_is_written_after_the_end_of_protection()
    {
        StagedEpoch epoch = CommitOne();
        _worker.Apply(epoch);
        Assert.Null(Await(StandbyEventKind.EpochApplied));

        _worker.Flush(); // a planned end: no generation is written behind it
        Assert.Null(Await(StandbyEventKind.DisksFlushed));
        _worker.Dispose();
        using (var writer = new BlockingBlockDevice(_disk))
        {
            Assert.Equal(BlockStatus.Ok, writer.Write(0, new byte[512])); // somebody else runs the guest from this disk
        }

        _worker = NewWorker();

        Assert.Equal(new ReplicaPoint(7, 1), _worker.RestoredMark!.Value.Point);
        Assert.Equal(0, _disk.Content[0]);
    }

    private void CopyAll()
    {
        Begin();
        _worker.FinishFullCopy(Done(DigestOfRam()), State(0));
        Assert.Null(Await(StandbyEventKind.FullCopyFinished));
    }

    /// <summary>Epoch 1, after a full copy: it writes 0x11 to the disk, is in the journal and not applied.</summary>
    private StagedEpoch CommitOne()
    {
        CopyAll();
        StagedEpoch epoch = State(1);
        epoch.Add(Write(1, 0x11));
        _worker.Commit(epoch, isDurable: true);
        Assert.Null(Await(StandbyEventKind.EpochCommitted));
        return epoch;
    }

    private void Restart()
    {
        _worker.Dispose();
        _worker = NewWorker();
    }

    private static FullCopyDoneMessage Done(ulong digest) => new()
    {
        Messages = 1,
        CopiedBytes = 1,
        StreamDigest = 0,
        ContentDigests = [digest],
    };

    private static DiskBlockMessage Block(byte fill)
    {
        var block = new DiskBlockMessage { Disk = 0, IsZero = false, OffsetBytes = 0, LengthBytes = 512 };
        byte[] bytes = new byte[512];
        Array.Fill(bytes, fill);
        block.Attach(bytes, null);
        return block;
    }

    private static DiskWriteMessage Write(ulong epoch, byte fill)
    {
        var write = new DiskWriteMessage
        {
            Epoch = epoch,
            Disk = 0,
            Operation = BlockOperation.Write,
            OffsetBytes = 0,
            LengthBytes = 512,
        };
        byte[] bytes = new byte[512];
        Array.Fill(bytes, fill);
        write.Attach(bytes, null);
        return write;
    }

    [Fact]
    public void Phases_are_measured_from_step_to_step()
    {
        Begin();
        StagedEpoch epoch = State(1);
        epoch.CapturedNanos = _clock.NowNanos;

        _worker.Commit(epoch, isDurable: false);
        Assert.Null(Await(StandbyEventKind.EpochCommitted));
        _worker.Apply(epoch);
        Assert.Null(Await(StandbyEventKind.EpochApplied));

        Assert.Equal(
            (TickingClock.StepNanos, TickingClock.StepNanos, TickingClock.StepNanos),
            (epoch.StageNanos, epoch.JournalNanos, epoch.ApplyNanos));
    }

    [Fact]
    public async Task Copy_for_a_drill_is_of_one_epoch_and_what_follows_does_not_reach_it_nor_it_the_standby()
    {
        CopyAll();
        Apply(1);
        using var console = new ToyConsole();
        FrozenDisk frozen = _freezable.NewFrozen();
        using var drillDisk = new BlockingBlockDevice(frozen);
        using var drill = new ToyMachine(GuestRam.BytesMin, [frozen], console);
        var copy = new GuestCopy(drill, () => _freezable.Freeze(frozen), static () => { });

        _worker.CopyGuest(copy);
        Assert.Null(Await(StandbyEventKind.GuestCopied));
        Apply(2);

        Assert.Equal((1UL, null), await copy.Epoch);
        byte[] sector = new byte[512];
        Assert.Equal(BlockStatus.Ok, drillDisk.Read(0, sector));
        Assert.Equal((1, 1), (drill.Ram.ReadOnlyBytes(PageAt, 1)[0], sector[0]));
        Assert.Equal((2, 2), (_machine.Ram.ReadOnlyBytes(PageAt, 1)[0], _disk.Content[0]));
        drill.Ram.WritableBytes(PageAt, 1)[0] = 9;
        Assert.Equal(BlockStatus.Ok, drillDisk.Write(0, new byte[512]));
        Assert.Equal((2, 2), (_machine.Ram.ReadOnlyBytes(PageAt, 1)[0], _disk.Content[0]));
        _freezable.Thaw();
        frozen.Dispose();
    }

    /// <summary>An epoch whose number stands in RAM and on the disk.</summary>
    private void Apply(byte number)
    {
        StagedEpoch epoch = State(number);
        epoch.Add(Write(number, number));
        byte[] delta = [];
        using var shadow = new PrivateRam(_machine.Ram.PageCount);
        var pool = new ChunkPool(1, PageKernels.PageBytes * 2);
        var writer = new RamDeltaWriter(shadow, new RamDigest(shadow.PageCount), pool, chunk =>
        {
            delta = chunk.Content.ToArray();
            chunk.Dispose();
        });
        using var still = new PrivateRam(1);
        still.Page(0)[0] = number;
        Assert.True(writer.TryReserve());
        writer.WriteFresh(PageAt / PageKernels.PageBytes, still.Page(0));
        writer.Flush();
        var ram = new RamBlockMessage { Epoch = number, PageCount = 1 };
        ram.Attach(delta, null);
        epoch.Add(ram);
        _worker.Commit(epoch, isDurable: false);
        Assert.Null(Await(StandbyEventKind.EpochCommitted));
        _worker.Apply(epoch);
        Assert.Null(Await(StandbyEventKind.EpochApplied));
    }

    private StagedEpoch State(ulong epoch)
    {
        byte[] state = new byte[64 << 10];
        var section = new SectionMessage { Epoch = epoch };
        section.Attach(state.AsMemory(0, SectionCapture.Save(_machine.Components, state)), null);
        var staged = new StagedEpoch();
        staged.Begin(epoch);
        staged.Add(section);
        return staged;
    }

    private ulong DigestOfRam()
    {
        var digest = new RamDigest(_machine.Ram.PageCount);
        digest.Recompute(_machine.Ram);
        return digest.Value;
    }

    private MachineIdentity Identity()
    {
        var sections = new List<SectionFormat>();
        foreach (ICheckpointed component in _machine.Components)
        {
            SectionId id = component.Section;
            sections.Add(new SectionFormat(id.Tag, id.Instance, id.Version));
        }

        return new MachineIdentity(
            Guid.Empty, Guid.Empty, "toy", "toy", GuestRam.BytesMin, [new DiskIdentity("a", DiskBytes)], sections);
    }

    private void Begin(ReplicaPoint before = default)
    {
        var hello = new HelloMessage
        {
            Node = Guid.NewGuid(),
            Generation = 1,
            LeaseNanos = 1,
            EpochsInFlightMax = 2,
            Machine = Identity(),
            Incarnation = 7,
        };
        _worker.BeginFullCopy(hello, before);
        Assert.Null(Await(StandbyEventKind.FullCopyReady));
    }

    /// <summary>The error that the worker's next answer holds; null for success.</summary>
    private string? Await(StandbyEventKind kind) => AwaitEvent(kind).Text;

    private StandbyEvent AwaitEvent(StandbyEventKind kind)
    {
        Assert.True(_answers.TryTake(AnswerMillisMax, out StandbyEvent answer));
        Assert.Equal(kind, answer.Kind);
        return answer;
    }

    private StandbyWorker NewWorker() => new(
        new StandbySetup
        {
            CreateMachine = _ => _machine,
            Disks = [_freezable],
            Filters = _filters,
            Consoles = [_console],
            StateFolder = _folder,
            ImagesWritten = () => _imagesWritten,
            Intents = _intents,
            Listen = new IPEndPoint(IPAddress.Loopback, 0),
            Security = LinkSecurity.Plain,
            Witness = new FileWitness(Path.Combine(_folder, "witness"), new HostClock()),
            Options = new StandbyOptions { Node = Guid.NewGuid(), Machine = Identity() },
            Clock = _clock,
            Events = new SessionLog(),
        },
        _answers, _first, _second);

    /// <summary>A clock on which every look takes its time.</summary>
    private sealed class TickingClock : IHostClock
    {
        public const long StepNanos = 1000;

        private long _nanos;

        public long NowNanos => Interlocked.Add(ref _nanos, StepNanos);
    }
}
