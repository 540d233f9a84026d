using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Block.Filters;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Backends.Block.Filters;

public sealed class EpochTagFilterTests : IDisposable
{
    private const int DiskBytes = 64 << 10;
    private readonly ToyDisk _disk = new(DiskBytes);
    private readonly EpochTagFilter _filter;
    private readonly Replica _replica = new();

    public EpochTagFilterTests() => _filter = new EpochTagFilter(_disk, disk: 3);

    public void Dispose()
    {
        _filter.Dispose();
        _disk.Dispose();
    }

    [Fact]
    public void Rule_24_every_change_is_shown_with_disk_and_epoch_before_it_starts()
    {
        _filter.Observe(_replica, epoch: 7, stamp: 2);

        Run(BlockOperation.Write, 512, 512, fill: 1);
        _filter.BeginEpoch(8);
        Run(BlockOperation.Read, 0, 512);
        Run(BlockOperation.WriteZeroes, 0, 512);
        Run(BlockOperation.Discard, 1024, 512);
        Run(BlockOperation.Flush, 0, 0);

        Assert.Equal(
            [
                (3, 7ul, BlockOperation.Write), (3, 8ul, BlockOperation.WriteZeroes),
                (3, 8ul, BlockOperation.Discard), (3, 8ul, BlockOperation.Flush),
            ],
            _replica.Tags);
    }

    [Theory]
    [InlineData(-512, 512)]
    [InlineData(DiskBytes, 512)]
    [InlineData(DiskBytes - 512, 1024)]
    [InlineData(long.MaxValue, 512)]
    [InlineData(0, 0)]
    public void Request_that_the_image_refuses_is_not_shown(long offset, long length)
    {
        _filter.Observe(_replica, epoch: 1, stamp: 2);

        var sim = new SimDisk(DiskBytes) { IsImmediate = true };
        var filter = new EpochTagFilter(sim, 0);
        filter.Observe(_replica, epoch: 1, stamp: 2);
        filter.Submit(new BlockRequest(_ => { })
        {
            Operation = BlockOperation.WriteZeroes,
            OffsetBytes = offset,
            LengthBytes = length,
        });

        Assert.Empty(_replica.Tags);
    }

    [Fact]
    public void Rule_24_resize_is_shown_in_its_place_and_counts_for_what_is_submitted_after_it()
    {
        var sim = new SimDisk(DiskBytes);
        var filter = new EpochTagFilter(sim, 3);
        filter.Observe(_replica, epoch: 1, stamp: 2);

        filter.Submit(Resized(DiskBytes / 2));
        filter.Submit(new BlockRequest(_ => { })
        {
            Operation = BlockOperation.WriteZeroes,
            OffsetBytes = DiskBytes - 512, // outside by then, so it changes no disk
            LengthBytes = 512,
        });
        filter.Submit(Resized(DiskBytes));
        sim.CompleteAll();

        Assert.Equal([(3, 1ul, BlockOperation.Resize), (3, 1ul, BlockOperation.Resize)], _replica.Tags);
        Assert.Equal(DiskBytes, filter.LengthBytes);
    }

    [Fact]
    public void Rule_24_size_that_changed_below_counts_once_it_was_looked_at()
    {
        var sim = new SimDisk(DiskBytes) { IsImmediate = true };
        var filter = new EpochTagFilter(sim, 3);
        sim.Submit(Resized(2 * DiskBytes)); // as a standby does what its primary did

        filter.LookAtSize();
        filter.Observe(_replica, epoch: 1, stamp: 2);
        filter.Submit(new BlockRequest(_ => { })
        {
            Operation = BlockOperation.WriteZeroes,
            OffsetBytes = DiskBytes,
            LengthBytes = 512,
        });

        Assert.Equal([(3, 1ul, BlockOperation.WriteZeroes)], _replica.Tags);
        Assert.Equal(2 * DiskBytes, filter.SizeAheadBytes);
        Assert.True(filter.Changes.IsChanged(DiskBytes, DiskBytes, after: 0)); // it may be anything there
        Assert.True(filter.Changes.IsChanged(DiskBytes, 512, after: 1));
    }

    [Fact]
    public void Resize_that_fails_below_is_told_and_counts_for_nothing()
    {
        var sim = new SimDisk(DiskBytes) { IsImmediate = true };
        sim.NextStatuses.Enqueue(BlockStatus.IoError);
        var filter = new EpochTagFilter(sim, 3);
        filter.Observe(_replica, epoch: 1, stamp: 2);

        filter.Submit(Resized(512));
        filter.Submit(new BlockRequest(_ => { })
        {
            Operation = BlockOperation.WriteZeroes,
            OffsetBytes = DiskBytes - 512,
            LengthBytes = 512,
        });

        Assert.Equal((3, BlockOperation.Resize, BlockStatus.IoError), Assert.Single(_replica.Failures));
        Assert.Equal(BlockOperation.WriteZeroes, _replica.Tags[^1].Item3);
    }

    [Fact]
    public void Rule_43_resize_in_the_full_copy_is_refused()
    {
        var sim = new SimDisk(DiskBytes) { IsImmediate = true };
        var filter = new EpochTagFilter(sim, 0);
        filter.Observe(_replica, epoch: 0, stamp: 2);
        BlockRequest request = Resized(2 * DiskBytes);

        filter.Submit(request);

        Assert.Equal((BlockStatus.Unsupported, DiskBytes), (request.Status, sim.LengthBytes));
        Assert.Empty(_replica.Tags);
    }

    [Fact]
    public void Failure_below_is_told()
    {
        _filter.Observe(_replica, epoch: 1, stamp: 2);
        _disk.WriteStatus = BlockStatus.IoError;

        Assert.Equal(BlockStatus.IoError, Run(BlockOperation.Write, 0, 512, fill: 1));

        Assert.Equal((3, BlockOperation.Write, BlockStatus.IoError), Assert.Single(_replica.Failures));
    }

    private static BlockRequest Resized(long lengthBytes)
        => new(_ => { }) { Operation = BlockOperation.Resize, LengthBytes = lengthBytes };

    [Fact]
    public void Nothing_is_shown_once_observing_stops()
    {
        _filter.Observe(_replica, epoch: 1, stamp: 2);
        _filter.StopObserving();

        Assert.Equal(BlockStatus.Ok, Run(BlockOperation.Write, 0, 512, fill: 1));

        Assert.Empty(_replica.Tags);
        Assert.False(_filter.TryCopyRange(0, new byte[512], out _));
    }

    [Fact]
    public void Write_that_comes_during_the_read_of_a_range_is_shown_after_the_range()
    {
        var sim = new SimDisk(DiskBytes);
        var filter = new EpochTagFilter(sim, 0);
        filter.Observe(_replica, epoch: 0, stamp: 2);
        var copier = new Thread(() => filter.TryCopyRange(0, new byte[512], out _)) { IsBackground = true };
        copier.Start();
        SpinWait.SpinUntil(() => sim.Pending.Count == 1);

        filter.Submit(new BlockRequest(_ => { })
        {
            Operation = BlockOperation.Write,
            LengthBytes = 512,
            Buffer = new byte[] { 9 }.Concat(new byte[511]).ToArray(),
        });
        Assert.Empty(_replica.Tags);

        sim.Complete(0);
        copier.Join();
        Assert.Single(_replica.Tags);
        Assert.Equal(9, _replica.Bytes[0]); // the older content of the range came first
        sim.CompleteAll();
    }

    [Fact]
    public void Rule_15_write_in_flight_when_tagging_begins_reaches_the_copy_before_any_newer_one()
    {
        var sim = new SimDisk(DiskBytes);
        var filter = new EpochTagFilter(sim, 0);
        filter.Submit(Filled(1));
        filter.Observe(_replica, epoch: 0, stamp: 2);
        var copier = new Thread(() => filter.TryCopyRange(0, new byte[512], out _));
        copier.Start();
        SpinWait.SpinUntil(() => sim.Pending.Count == 2);
        filter.Submit(Filled(2));

        sim.Complete(0); // SimDisk lets no overlapping request pass another one, as any image
        sim.Complete(0);
        copier.Join();
        sim.CompleteAll();

        Assert.Equal(new byte[] { 1, 2 }, _replica.FirstBytes);
        Assert.Equal(2, sim.Data[0]);
    }

    [Fact]
    public void Rule_15_observer_is_shown_the_bytes_that_were_submitted()
    {
        var sim = new SimDisk(DiskBytes);
        var filter = new EpochTagFilter(sim, 0);
        filter.Observe(_replica, epoch: 1, stamp: 2);
        filter.Submit(Filled(1));
        filter.Submit(Filled(2));

        sim.CompleteAll();

        Assert.Equal(new byte[] { 1, 2 }, _replica.FirstBytes);
        Assert.Equal(2, sim.Data[0]);
        Assert.Equal(_replica.Bytes[0], sim.Data[0]);
    }

    [Fact]
    public void Rule_37_mark_of_a_resync_waits_for_the_write_that_is_being_tagged()
    {
        var sim = new SimDisk(DiskBytes);
        var filter = new EpochTagFilter(sim, 0);
        Thread? marking = null;
        bool isEarly = true;
        _replica.OnTagging = () =>
        {
            marking = new Thread(() => filter.MarkDoubtful(0, 512, stamp: 2));
            marking.Start();
            isEarly = marking.Join(30);
        };
        filter.Observe(_replica, epoch: 1, stamp: 2);

        filter.Submit(Filled(1));
        marking!.Join();

        Assert.False(isEarly);
    }

    [Fact]
    public void Copy_while_the_guest_writes_gives_the_same_disk()
    {
        Run(BlockOperation.Write, 0, DiskBytes, fill: 0x55);
        _filter.Observe(_replica, epoch: 0, stamp: 2);
        bool isOver = false;
        var guest = new Thread(() =>
        {
            var random = new Random(1);
            while (!Volatile.Read(ref isOver))
            {
                int offset = random.Next(DiskBytes / 512) * 512;
                int length = Math.Min(random.Next(1, 20) * 512, DiskBytes - offset);
                Run(BlockOperation.Write, offset, length, (byte)random.Next());
            }
        })
        {
            IsBackground = true, // an assertion below must not keep the process
        };
        guest.Start();

        for (int pass = 0; pass < 3; pass++)
        {
            for (int offset = 0; offset < DiskBytes; offset += 4096)
            {
                Assert.True(_filter.TryCopyRange(offset, new byte[4096], out BlockStatus status));
                Assert.Equal(BlockStatus.Ok, status);
            }
        }

        Volatile.Write(ref isOver, true);
        guest.Join();
        Assert.True(_replica.Bytes.AsSpan().SequenceEqual(_disk.Content));
    }

    private static BlockRequest Filled(byte fill) => new(_ => { })
    {
        Operation = BlockOperation.Write,
        LengthBytes = 512,
        Buffer = Enumerable.Repeat(fill, 512).ToArray(),
    };

    private BlockStatus Run(BlockOperation operation, long offset, int length, byte fill = 0)
    {
        using var done = new ManualResetEventSlim();
        byte[] buffer = new byte[operation is BlockOperation.Read or BlockOperation.Write ? length : 0];
        buffer.AsSpan().Fill(fill);
        var request = new BlockRequest(_ => done.Set())
        {
            Operation = operation,
            OffsetBytes = offset,
            LengthBytes = length,
            Buffer = buffer,
        };
        _filter.Submit(request);
        done.Wait();
        return request.Status;
    }

    /// <summary>Does what it is shown, in order, as the other side would.</summary>
    private sealed class Replica : IEpochTagObserver
    {
        public byte[] Bytes { get; } = new byte[DiskBytes];

        /// <summary>Byte 0 of the disk after each range and each write that was shown.</summary>
        public List<byte> FirstBytes { get; } = [];

        public Action OnTagging { get; set; } = static () => { };

        public List<(int Disk, ulong Epoch, BlockOperation Operation)> Tags { get; } = [];

        public List<(int Disk, BlockOperation Operation, BlockStatus Status)> Failures { get; } = [];

        public void OnTagged(int disk, ulong epoch, BlockRequest request)
        {
            OnTagging();
            Tags.Add((disk, epoch, request.Operation));
            if (request.Operation == BlockOperation.Write)
            {
                request.Buffer.Span.CopyTo(Bytes.AsSpan((int)request.OffsetBytes));
                FirstBytes.Add(Bytes[0]);
            }
        }

        public void OnCopied(int disk, long offsetBytes, ReadOnlyMemory<byte> bytes)
        {
            bytes.Span.CopyTo(Bytes.AsSpan((int)offsetBytes));
            FirstBytes.Add(Bytes[0]);
        }

        public void OnTaggedFailed(int disk, BlockOperation operation, BlockStatus status)
            => Failures.Add((disk, operation, status));
    }
}
