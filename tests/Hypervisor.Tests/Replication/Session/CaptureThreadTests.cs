using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Block.Filters;
using Hypervisor.Backends.Console;
using Hypervisor.Backends.Network;
using Hypervisor.Core.Memory;
using Hypervisor.Core.State;
using Hypervisor.Core.Time;
using Hypervisor.Replication.Capture;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Link;
using Hypervisor.Replication.Session;
using Hypervisor.Replication.Wire;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Replication.Session;

/// <summary>What happens inside the pause of a cut, seen by a machine that acts in Pause and Resume.</summary>
public sealed class CaptureThreadTests : IDisposable
{
    private const int WaitMillisMax = 60_000;

    private readonly string _folder = Directory.CreateTempSubdirectory("hv-capture-").FullName;
    private readonly GuestRam _standby = new(GuestRam.BytesMin);
    private readonly RamDigest _digest = new(GuestRam.BytesMin / 4096);
    private readonly ToyConsole _first = new();
    private readonly ToyConsole _second = new();
    private readonly OutboxStream[] _outboxes;
    private readonly FrameOutbox _frames = new(1 << 16);
    private readonly SimClock _clock = new();
    private readonly CaptureMeter _meter = new();
    private readonly EagerMachine _machine;
    private readonly EpochTagFilter[] _disks = [.. Enumerable.Range(0, 2).Select(i => new EpochTagFilter(
        new SimDisk(1 << 16) { IsImmediate = true }, i))];
    private readonly PrimarySetup _setup;
    private readonly Inbox<PrimaryEvent> _inbox = new();
    private readonly CaptureThread _capture;
    private readonly RamReplica _replica;
    private readonly CaptureRun _run;

    public CaptureThreadTests()
    {
        _outboxes = [NewOutbox(_first), NewOutbox(_second)];
        _machine = new EagerMachine(_outboxes, _frames, _clock);
        _setup = new PrimarySetup
        {
            Machine = _machine,
            Disks = _disks,
            Outboxes = _outboxes,
            FrameOutboxes = [_frames],
            StandbyHost = "",
            StandbyPort = 0,
            Security = LinkSecurity.Plain,
            Witness = new FileWitness(Path.Combine(_folder, "witness"), new HostClock()),
            Options = new PrimaryOptions { Node = Guid.NewGuid(), Machine = RecordedMachine() },
            Clock = _clock,
            Events = new SessionLog(),
            NextIncarnation = () => 1,
        };
        _capture = new CaptureThread(_setup, _meter);
        _replica = new RamReplica(_machine.Ram.PageCount);
        DiscardedBlocks[] discarded = [.. _disks.Select(disk => new DiscardedBlocks(disk.LengthBytes))];
        var plan = new ResyncPlan(1, 2, DisksAfter: 1, RamAfter: null); // the disks have not changed
        _run = new CaptureRun(_setup, _replica, discarded, plan, _inbox);
        _capture.StartGuest(static () => { });
        _capture.StartFullCopy(_run);
        Await(PrimaryEventKind.CopyConverged);
    }

    public void Dispose()
    {
        _run.Stop();
        _capture.Dispose();
        _run.Dispose();
        _replica.Dispose();
        _inbox.Dispose();
        _machine.Ram.Dispose();
        _standby.Dispose();
        _first.Dispose();
        _second.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void Zeroes_of_a_copied_range_are_one_message_and_the_rest_comes_as_it_is()
    {
        byte[] range = new byte[CaptureRun.RangeBytes - 512];
        new Random(1).NextBytes(range.AsSpan(200_000, 100_000));
        byte[] copy = new byte[range.Length];
        const int Offset = 1 << 20;
        using var disk = new ToyDisk(Offset + range.Length);
        using var filter = new EpochTagFilter(disk, 0);
        using var isWritten = new ManualResetEventSlim();
        filter.Submit(new BlockRequest(_ => isWritten.Set())
        {
            Operation = BlockOperation.Write,
            OffsetBytes = Offset,
            LengthBytes = range.Length,
            Buffer = range,
        });
        isWritten.Wait(TestContext.Current.CancellationToken);
        filter.Observe(_run, epoch: 0, stamp: 2);

        Assert.True(_run.TryCopyRange(filter, Offset, range.Length));

        int zeroes = 0;
        while (_inbox.TryTake(timeoutMillis: 0, out PrimaryEvent item))
        {
            var block = Assert.IsType<DiskBlockMessage>(item.Message);
            Assert.Equal(block.IsZero ? 0 : block.LengthBytes, block.Bulk.Length);
            block.Bulk.CopyTo(copy.AsMemory((int)(block.OffsetBytes - Offset)));
            zeroes += block.IsZero ? (int)block.LengthBytes : 0;
            block.Release();
        }

        Assert.Equal(range, copy);
        Assert.InRange(zeroes, range.Length - 100_000 - (2 * 65_536), range.Length - 100_000);
    }

    [Fact]
    public void Rule_02_every_outbox_belongs_to_the_next_epoch_before_the_guest_runs_on()
    {
        Cut(0);
        _machine.Says = "after the cut";
        Cut(1);

        Array.ForEach(_outboxes, outbox => outbox.Release(1)); // everything that belongs to epoch 1
        _frames.Release(1);

        Assert.DoesNotContain("after the cut", _first.Text, StringComparison.Ordinal);
        Assert.DoesNotContain("after the cut", _second.Text, StringComparison.Ordinal);
        Assert.Equal("", SentFrames());
        Cut(2);
        Array.ForEach(_outboxes, outbox => outbox.Release(2));
        _frames.Release(2);
        Assert.EndsWith("after the cut", _first.Text, StringComparison.Ordinal);
        Assert.EndsWith("after the cut", _second.Text, StringComparison.Ordinal);
        Assert.Equal("after the cut", SentFrames());
    }

    [Fact]
    public void Rule_10_sections_and_pages_are_those_of_one_pause()
    {
        for (ulong epoch = 0; epoch < 3; epoch++) // fewer than the pool has section chunks
        {
            List<PrimaryEvent> events = Cut(epoch);

            SectionMessage? section = null;
            foreach (PrimaryEvent item in events)
            {
                section = item.Message as SectionMessage ?? section;
            }

            byte[] saved = section!.Bulk.ToArray();
            var counter = new Counter();
            CheckpointSection.Read(counter, saved);

            // The machine counts in its section and in RAM together, whenever it runs, also between cut and copy.
            Assert.Equal(counter.Value, BitConverter.ToInt64(_standby.ReadOnlyBytes(0, sizeof(long))));
        }
    }

    [Fact]
    public void Rule_16_write_that_somebody_lets_go_within_a_cut_is_on_its_one_side_or_the_other()
    {
        using var isEnough = new CancellationTokenSource();
        var writer = new Thread(() =>
        {
            for (int i = 0; !isEnough.IsCancellationRequested; i++)
            {
                _disks[i % 2].Submit(new BlockRequest(static _ => { })
                {
                    Operation = BlockOperation.WriteZeroes,
                    OffsetBytes = 512,
                    LengthBytes = 512,
                });
                Thread.SpinWait(50);
            }
        });
        writer.Start();
        ulong open = 0;
        string wrong = "";
        for (ulong epoch = 0; epoch < 300; epoch++)
        {
            foreach (PrimaryEvent item in Cut(epoch))
            {
                open += item.Kind == PrimaryEventKind.CutTaken ? 1u : 0;
                wrong += item.Message is DiskWriteMessage write && write.Epoch != open
                    ? $"{write.Disk}: {write.Epoch}, not {open}; " : "";
                item.Message?.Release();
            }
        }

        isEnough.Cancel();
        writer.Join();
        Assert.Equal("", wrong);
    }

    [Fact]
    public void Parts_of_a_pause_are_measured_from_step_to_step_and_the_copy_from_its_end()
    {
        Cut(0);

        Assert.Equal(
            ["stop 1000", "capture 200", "arm 30", "resume 4", "copy 0"],
            _meter.Snapshot(default).Phases.Take(5).Select(phase => $"{phase.Name} {phase.Times.MaxNanos}"));
        Assert.Equal(1234, _meter.Snapshot(default).Pause.MaxNanos);
    }

    private string SentFrames()
    {
        var text = new StringBuilder();
        byte[] frame = new byte[1024];
        while (_frames.TryTake(frame, out _, out int length))
        {
            text.Append(Encoding.ASCII.GetString(frame, 0, length));
        }

        return text.ToString();
    }

    private static OutboxStream NewOutbox(ToyConsole sink) => new(sink, 1 << 16, static () => { });

    private static MachineIdentity RecordedMachine()
    {
        MachineIdentity machine = Epochs.RecordedPrimary.Machine;
        return machine with { Disks = [machine.Disks[0], machine.Disks[0]] };
    }

    private List<PrimaryEvent> Cut(ulong epoch)
    {
        _capture.Cut(_run, epoch);
        return Await(PrimaryEventKind.CaptureDone);
    }

    private List<PrimaryEvent> Await(PrimaryEventKind kind)
    {
        var events = new List<PrimaryEvent>();
        do
        {
            Assert.True(_inbox.TryTake(WaitMillisMax, out PrimaryEvent item));
            events.Add(item);
            if (item.Message is RamBlockMessage ram)
            {
                RamDelta.Apply(ram.Bulk.Span, _standby, _digest);
            }
        }
        while (events[^1].Kind != kind);
        return events;
    }

    /// <summary>A machine whose guest acts in the very moment in which it may run.</summary>
    private sealed class EagerMachine(
        OutboxStream[] outboxes, FrameOutbox frames, SimClock clock) : IProtectedMachine
    {
        private readonly Counter _counter = new();

        public GuestRam Ram { get; } = new(GuestRam.BytesMin);

        public IReadOnlyList<ICheckpointed> Components
        {
            get
            {
                clock.Advance(200);
                return [_counter];
            }
        }

        public string Says { get; set; } = "";

        public void Pause() => clock.Advance(1000);

        public void Resume()
        {
            clock.Advance(4);
            _counter.Value++;
            BitConverter.TryWriteBytes(Ram.WritableBytes(0, sizeof(long)), _counter.Value);
            byte[] text = Encoding.ASCII.GetBytes(Says);
            Array.ForEach(outboxes, outbox => outbox.Write(text));
            Assert.True(frames.TryAdd(0, text));
            Says = "";
        }

        public void WhenIdle(Action onIdle)
        {
        }

        public void RearmWrites() => clock.Advance(30);

        public void AfterLoad()
        {
        }
    }

    private sealed class Counter : ICheckpointed
    {
        private long _value;

        public SectionId Section => new(0x544E_4F43, 0, 1); // "CONT"

        public long Value
        {
            get => _value;
            set => _value = value;
        }

        public void Transfer(ref StateCodec state) => state.I64(ref _value);
    }
}
