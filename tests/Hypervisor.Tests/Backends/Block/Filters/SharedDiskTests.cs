using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Block.Filters;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Backends.Block.Filters;

public sealed class SharedDiskTests : IDisposable
{
    private const int DiskBytes = 16 << 20;

    private readonly SimDisk _image = new(DiskBytes) { IsImmediate = true };
    private readonly List<ulong> _held = [];
    private readonly List<ulong> _settled = [];
    private readonly SharedDisk _disk;
    private int _givenUp;

    public SharedDiskTests()
    {
        _disk = new SharedDisk(_image, static () => true, () => _givenUp++)
        {
            OnHeld = _held.Add,
            OnSettled = _settled.Add,
        };
        Assert.True(_disk.TryAcquire());
    }

    public void Dispose()
    {
        _image.IsImmediate = true;
        _image.CompleteAll();
        _disk.Dispose();
        _image.Dispose();
    }

    [Fact]
    public void Rule_04_write_reaches_the_disk_with_the_release_of_its_epoch_and_not_before()
    {
        _disk.BeginEpoch(1);
        BlockRequest first = Write(0, 1);
        _disk.BeginEpoch(2);
        Write(512, 2);

        Assert.Equal((BlockStatus.Ok, 0, 0), (first.Status, _image.Data[0], _image.Data[512]));
        _disk.Release(1);

        Assert.Equal((1, 0), (_image.Data[0], _image.Data[512]));
    }

    [Fact]
    public void Read_sees_what_waits_in_its_order()
    {
        Write(0, 1);
        _disk.BeginEpoch(1);
        Write(512, 2);
        Write(512, 3);
        _disk.Submit(new BlockRequest(static _ => { })
        {
            Operation = BlockOperation.WriteZeroes,
            OffsetBytes = 768,
            LengthBytes = 512,
        });

        byte[] read = new byte[2048];
        _disk.Submit(new BlockRequest(static _ => { })
        {
            Operation = BlockOperation.Read,
            LengthBytes = read.Length,
            Buffer = read,
        });

        Assert.Equal([1, 3, 0, 0], new[] { read[0], read[512], read[768], read[1280] });
    }

    [Fact]
    public void Rule_19_flush_ends_with_the_release_once_the_disk_has_flushed_and_asks_for_a_cut()
    {
        _image.IsImmediate = false;
        _disk.BeginEpoch(1);
        Write(0, 1);
        bool isDone = false;
        _disk.Submit(new BlockRequest(_ => isDone = true) { Operation = BlockOperation.Flush });
        _disk.BeginEpoch(2);

        Assert.Equal([1ul], _held);
        _disk.Release(1);
        Assert.Equal([BlockOperation.Write], _image.Log.Select(entry => entry.Operation));
        _image.Complete(0);
        Assert.False(isDone);
        _image.Complete(0);
        Assert.True(isDone);
        Assert.Equal(1, _image.Durable[0]);
    }

    [Fact]
    public void Epoch_is_settled_when_it_is_durable_and_not_before()
    {
        _image.IsImmediate = false;
        _disk.BeginEpoch(1);
        Write(0, 1);
        _disk.BeginEpoch(2);
        _disk.Release(1);
        _image.Complete(0);

        Assert.Empty(_settled);
        _image.CompleteAll();

        Assert.Equal([1ul], _settled);
        Assert.Equal(1, _image.Durable[0]);
    }

    [Fact]
    public void Rule_03_dropped_writes_never_reach_the_disk_and_released_ones_do_before_it_is_given_up()
    {
        _image.IsImmediate = false;
        _disk.BeginEpoch(1);
        Write(0, 1);
        _disk.BeginEpoch(2);
        Write(512, 2);
        BlockStatus flushed = BlockStatus.Ok;
        _disk.Submit(new BlockRequest(flush => flushed = flush.Status) { Operation = BlockOperation.Flush });
        _disk.Release(1);

        _disk.Drop();
        int early = _givenUp;
        _image.CompleteAll();
        Write(1024, 3);
        _image.CompleteAll();

        Assert.Equal((0, 1, BlockStatus.IoError), (early, _givenUp, flushed));
        Assert.Equal((1, 0, 0), (_image.Data[0], _image.Data[512], _image.Data[1024]));
    }

    [Fact]
    public void Rule_23_change_that_is_one_too_many_ends_when_there_is_room()
    {
        _disk.BeginEpoch(1);
        for (int i = 0; i < SharedDisk.HeldCountMax; i++)
        {
            Write(i * 512, 1);
        }

        bool isDone = false;
        _disk.Submit(Filled(0, 2, _ => isDone = true));
        bool early = isDone;
        _disk.BeginEpoch(2);
        _disk.Release(1);

        Assert.Equal((false, true, 2), (early, isDone, _image.Data[0]));
        Assert.Equal([1ul], _held);
    }

    [Fact]
    public void Guest_that_runs_alone_passes_after_what_was_held()
    {
        _image.IsImmediate = false;
        _disk.BeginEpoch(1);
        Write(0, 1);

        _disk.Pass();
        Write(0, 2);
        bool isDone = false;
        _disk.Submit(new BlockRequest(_ => isDone = true) { Operation = BlockOperation.Flush });
        _image.CompleteAll();

        Assert.True(isDone);
        Assert.Equal(2, _image.Durable[0]);
    }

    [Fact]
    public void Rule_22_release_that_fails_lets_nothing_newer_pass_and_settles_nothing()
    {
        _image.NextStatuses.Enqueue(BlockStatus.IoError);
        _disk.BeginEpoch(1);
        Write(0, 1);
        Write(512, 1);
        _disk.BeginEpoch(2);
        _disk.Release(1);
        BlockStatus flushed = BlockStatus.Ok;
        _disk.Submit(new BlockRequest(flush => flushed = flush.Status) { Operation = BlockOperation.Flush });

        Assert.Equal((BlockStatus.IoError, 0), (flushed, _image.Data[512]));
        Assert.Empty(_settled);
    }

    [Fact]
    public void Rule_22_change_that_failed_is_what_the_guest_reads_and_nobody_waits_for_it()
    {
        int failures = 0;
        _disk.OnFailed = () => failures++;
        _image.NextStatuses.Enqueue(BlockStatus.IoError);
        _disk.BeginEpoch(1);
        Write(0, 7);
        BlockStatus? flushed = null;
        _disk.Submit(new BlockRequest(flush => flushed = flush.Status) { Operation = BlockOperation.Flush });
        _disk.BeginEpoch(2);

        _disk.Release(1);

        Assert.Equal((1, BlockStatus.IoError, (byte)7), (failures, flushed ?? BlockStatus.Ok, ReadByte(0)));
        Assert.Equal(BlockStatus.IoError, _disk.FlushPassed()); // no new standby may count on it
    }

    [Fact]
    public void Rule_26_released_change_is_not_sent_when_the_lease_is_over()
    {
        bool mayWrite = false;
        _disk.MayWrite = () => mayWrite;
        _disk.BeginEpoch(1);
        Write(0, 1);
        _disk.BeginEpoch(2);
        _disk.Release(1);
        byte early = _image.Data[0];

        mayWrite = true;
        _disk.BeginEpoch(3);
        _disk.Release(2);

        Assert.Equal((0, 1), (early, _image.Data[0]));
        Assert.Equal([2ul], _settled);
    }

    [Fact]
    public void Rule_26_lease_that_ends_in_the_middle_of_a_release_keeps_the_rest_back()
    {
        int left = 3;
        _disk.MayWrite = () => left-- > 0;
        _disk.BeginEpoch(1);
        for (int i = 0; i < 8; i++)
        {
            Write(i * 512, 1);
        }

        _disk.BeginEpoch(2);
        _disk.Release(1);

        Assert.Equal((1, 0), (_image.Data[2 * 512], _image.Data[3 * 512]));
        Assert.Empty(_settled);
    }

    [Fact]
    public void Rule_28_lock_is_given_up_once_nothing_is_on_its_way_and_what_arrived_is_durable()
    {
        _image.IsImmediate = false;
        _disk.BeginEpoch(1);
        Write(0, 1);
        _disk.BeginEpoch(2);
        _disk.Release(1);
        Write(512, 2);
        _disk.BeginEpoch(3);

        _disk.Yield();
        _disk.Release(2);
        int whileOnItsWay = _givenUp;
        _image.Complete(0);
        int whileNotDurable = _givenUp;
        _image.CompleteAll();

        Assert.Equal((0, 0, 1), (whileOnItsWay, whileNotDurable, _givenUp));
        Assert.Equal((1, 0), (_image.Durable[0], _image.Data[512]));
        Assert.Empty(_settled); // not all that was released is there
        Assert.Equal(2, ReadByte(512));
    }

    [Fact]
    public void Lock_that_is_back_lets_the_rest_go_on()
    {
        _disk.BeginEpoch(1);
        Write(0, 1);
        _disk.Yield();
        _disk.Pass();
        BlockRequest alone = Write(512, 2);
        bool isFlushed = false;
        _disk.Submit(new BlockRequest(_ => isFlushed = true) { Operation = BlockOperation.Flush });
        (byte, byte, bool) early = (_image.Data[0], _image.Data[512], isFlushed);

        Assert.True(_disk.TryAcquire());

        Assert.Equal(((byte)0, (byte)0, false), early);
        Assert.Equal((1, 2, true), (_image.Durable[0], _image.Durable[512], isFlushed));
        Assert.Equal(BlockStatus.Ok, alone.Status);
    }

    [Fact]
    public void Rule_23_room_is_taken_until_the_change_is_durable()
    {
        _disk.BeginEpoch(1);
        for (int i = 0; i < SharedDisk.HeldCountMax; i++)
        {
            Write(i * 512, 1);
        }

        _disk.BeginEpoch(2);
        _image.IsImmediate = false;
        _disk.Release(1);
        while (_image.Pending.Any(request => request.Operation == BlockOperation.Write))
        {
            _image.Complete(0);
        }

        bool isDone = false;
        _disk.Submit(Filled(0, 2, _ => isDone = true));
        bool early = isDone;
        _image.CompleteAll();

        Assert.Equal((false, true), (early, isDone));
    }

    [Fact]
    public async Task What_passed_before_a_life_is_durable_before_the_pair_is_protected()
    {
        _image.IsImmediate = false;
        _disk.BeginEpoch(1);
        Write(0, 1);
        _disk.Pass(); // and now it is on its way, while the next standby comes
        _disk.BeginEpoch(1);
        Task<BlockStatus> flushed = Task.Run(_disk.FlushPassed, TestContext.Current.CancellationToken);

        bool early = SpinWait.SpinUntil(() => _image.Pending.Count > 1, 100); // a flush beside the write
        _image.Complete(0);
        Assert.True(SpinWait.SpinUntil(() => _image.Pending.Count > 0, TimeSpan.FromSeconds(30)));
        _image.CompleteAll();

        Assert.False(early);
        Assert.Equal(BlockStatus.Ok, await flushed);
        Assert.Equal(1, _image.Durable[0]);
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void Rule_41_image_whose_lock_is_free_is_nobodys(bool isFree, bool isHeld)
    {
        int givenUp = 0;
        using var follower = new SharedDisk(new SimDisk(4096) { IsImmediate = true }, () => isFree, () => givenUp++);

        Assert.Equal(isHeld, follower.IsHeldElsewhere());
        Assert.Equal(isFree ? 1 : 0, givenUp);
    }

    private byte ReadByte(long offset)
    {
        byte[] read = new byte[512];
        _disk.Submit(new BlockRequest(static _ => { })
        {
            Operation = BlockOperation.Read,
            OffsetBytes = offset,
            LengthBytes = read.Length,
            Buffer = read,
        });
        _image.CompleteAll();
        return read[0];
    }

    private BlockRequest Write(long offset, byte value)
    {
        BlockRequest request = Filled(offset, value, static _ => { });
        _disk.Submit(request);
        return request;
    }

    private static BlockRequest Filled(long offset, byte value, Action<BlockRequest> onDone)
    {
        byte[] data = new byte[512];
        Array.Fill(data, value);
        return new BlockRequest(onDone)
        {
            Operation = BlockOperation.Write,
            OffsetBytes = offset,
            LengthBytes = data.Length,
            Buffer = data,
        };
    }
}
