using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Block.Filters;
using Hypervisor.Replication.Disk;
using Hypervisor.Replication.Wire;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Replication.Disk;

public sealed class WriteIntentLogTests : IDisposable
{
    private const int Region = 1 << 20;
    private const int DiskBytes = 8 * Region;

    private readonly string _folder = Directory.CreateTempSubdirectory("hv-intent-").FullName;
    private readonly ToyDisk _disk = new(DiskBytes);
    private WriteIntentLog _log;
    private EpochTagFilter _tags;
    private WriteIntentFilter _filter;

    public WriteIntentLogTests() => (_log, _tags, _filter) = Open(_disk);

    private string FilePath => Path.Combine(_folder, "intent");

    public void Dispose()
    {
        _log.Dispose();
        _disk.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void Rule_36_region_is_durably_marked_before_the_first_write_reaches_it()
    {
        _log.Begin(new ReplicaPoint(7, 0));
        var probe = new Probe(this);
        using var filter = new WriteIntentFilter(probe, _log);

        Write(filter, (3 * Region) - 100, 512);

        Assert.Equal([new DiskRange(0, 2 * Region, 2 * Region)], probe.KnownAtWrite);
    }

    [Fact]
    public void Rule_37_what_was_written_after_the_last_acknowledged_epoch_is_known_to_the_next_process()
    {
        _log.Begin(new ReplicaPoint(7, 0));
        var observer = new Ignorant();
        _tags.Observe(observer, epoch: 0, stamp: 10);
        Write(_filter, 0, 512);
        _tags.BeginEpoch(1);
        Write(_filter, Region, 512);
        _tags.BeginEpoch(2);
        Write(_filter, 2 * Region, 512);

        _log.Acknowledge(stamp: 11, new ReplicaPoint(7, 1));
        Write(_filter, 5 * Region, 512); // stores the log, without what is acknowledged
        Reopen();

        Assert.Equal([new ReplicaPoint(7, 1)], _log.Points);
        Assert.Equal([new DiskRange(0, 2 * Region, Region), new DiskRange(0, 5 * Region, Region)], _log.Ranges(0, 100));
        Assert.Equal(2 * Region, _log.Changes.CountBytes(0));
    }

    [Fact]
    public void Rule_37_write_that_the_standby_has_and_the_disk_not_yet_is_not_forgotten()
    {
        var slow = new SlowDisk(_disk, 3 * Region);
        _log.Dispose();
        (_log, _tags, _filter) = Open(slow);
        _log.Begin(new ReplicaPoint(7, 0));
        _tags.Observe(new Ignorant(), epoch: 0, stamp: 10);
        using var done = new ManualResetEventSlim();
        _filter.Submit(new BlockRequest(_ => done.Set())
        {
            Operation = BlockOperation.Write,
            OffsetBytes = 3 * Region,
            LengthBytes = 512,
            Buffer = new byte[512],
        });
        slow.Arrived.Wait(60_000, TestContext.Current.CancellationToken);

        _log.Acknowledge(stamp: 10, new ReplicaPoint(7, 1));
        Write(_filter, 5 * Region, 512); // stores the log, without what is acknowledged
        Assert.Equal([new DiskRange(0, 3 * Region, Region), new DiskRange(0, 5 * Region, Region)], Stored());

        slow.Go();
        Assert.True(done.Wait(60_000, TestContext.Current.CancellationToken));
        Write(_filter, 6 * Region, 512); // stores the log again: 5 is acknowledged, too
        Assert.Equal([new DiskRange(0, 6 * Region, Region)], Stored());
    }

    [Fact]
    public void Write_over_two_regions_of_which_one_is_acknowledged_is_not_held_for_ever()
    {
        _log.Begin(new ReplicaPoint(7, 0));
        _tags.Observe(new Ignorant(), epoch: 0, stamp: 10);
        Write(_filter, 3 * Region, 512);
        _log.Acknowledge(stamp: 10, new ReplicaPoint(7, 1)); // the next store would leave it out

        Write(_filter, (3 * Region) - 512, 1024);

        Assert.Equal([new DiskRange(0, 2 * Region, 2 * Region)], Stored());
    }

    [Fact]
    public void Rule_36_nobody_is_shown_a_change_whose_region_is_not_marked_yet()
    {
        _log.Begin(new ReplicaPoint(7, 0));
        var observer = new Looking(Stored);
        _tags.Observe(observer, epoch: 0, stamp: 10);

        Write(_filter, 2 * Region, 512);

        Assert.Equal([new DiskRange(0, 2 * Region, Region)], observer.KnownWhenShown);
    }

    [Fact]
    public void Rule_37_life_that_was_never_in_sync_does_not_replace_the_one_before()
    {
        _log.Begin(new ReplicaPoint(7, 0));
        _log.Acknowledge(stamp: 11, new ReplicaPoint(7, 4));
        Write(_filter, Region, 512);
        _log.Begin(new ReplicaPoint(8, 0));
        Write(_filter, 3 * Region, 512);
        Reopen();

        Assert.Equal([new ReplicaPoint(7, 4), new ReplicaPoint(8, 0)], _log.Points);
    }

    [Fact]
    public void Rule_37_guest_that_goes_on_from_disks_that_the_log_knows_is_logged_from_its_first_write()
    {
        _log.Begin(new ReplicaPoint(7, 0));
        Write(_filter, 0, 512);
        Reopen();
        _log.Continue();
        Write(_filter, 6 * Region, 512);
        Reopen();

        Assert.Equal([new DiskRange(0, 0, Region), new DiskRange(0, 6 * Region, Region)], _log.Ranges(0, 100));
    }

    [Fact]
    public void Rule_36_power_cut_in_the_middle_of_a_store_leaves_the_version_before()
    {
        _log.Begin(new ReplicaPoint(7, 0));
        Write(_filter, 0, 512);
        _log.Dispose();
        byte[] before = File.ReadAllBytes(FilePath);
        (_log, _tags, _filter) = Open(_disk);
        _log.Continue();
        Write(_filter, 6 * Region, 512);
        _log.Dispose();
        byte[] after = File.ReadAllBytes(FilePath);
        int torn = Enumerable.Range(0, before.Length).Last(i => before[i] != after[i]); // in the newest slot
        after[torn] ^= 0x40;
        File.WriteAllBytes(FilePath, after);

        (_log, _tags, _filter) = Open(_disk);

        Assert.Equal([new ReplicaPoint(7, 0)], _log.Points);
        Assert.Contains(new DiskRange(0, 0, Region), _log.Ranges(0, 100));
    }

    [Fact]
    public void Log_of_another_disk_or_a_damaged_one_says_nothing()
    {
        _log.Begin(new ReplicaPoint(7, 0));
        _log.Dispose();
        using (var other = new WriteIntentLog(FilePath, DiskBytes + 512))
        {
            Assert.Empty(other.Points);
        }

        File.WriteAllBytes(FilePath, new byte[17]);
        (_log, _tags, _filter) = Open(_disk);
        Assert.Empty(_log.Points);
    }

    [Fact]
    public void Rule_37_log_of_an_earlier_life_of_the_host_says_nothing()
    {
        _log.Begin(new ReplicaPoint(7, 0));
        Write(_filter, Region, 512);
        Write(_filter, 3 * Region, 512);
        _log.Acknowledge(stamp: 1, new ReplicaPoint(7, 4)); // what is dropped now may be in the host's cache only
        Write(_filter, 5 * Region, 512);
        _log.Dispose();

        using (var rebooted = new WriteIntentLog(FilePath, DiskBytes, Guid.NewGuid()))
        {
            Assert.Empty(rebooted.Points);
            Assert.Equal(0, rebooted.Changes.CountBytes(0));
        }

        (_log, _tags, _filter) = Open(_disk);
        Assert.NotEmpty(_log.Points);
    }

    [Fact]
    public void Ranges_become_longer_when_few_are_wanted()
    {
        _log.Begin(new ReplicaPoint(7, 0));
        foreach (int region in (int[])[0, 2, 6])
        {
            Write(_filter, region * Region, 512);
        }

        Assert.Equal(3, _log.Ranges(0, 3).Count);
        Assert.Equal(
            [new DiskRange(0, 0, 4 * Region), new DiskRange(0, 6 * Region, 2 * Region)], _log.Ranges(0, 2));
    }

    [Fact]
    public void Requests_keep_their_order_while_one_waits_for_the_log()
    {
        var gate = new ClosedIntent();
        List<long> order = [];
        var probe = new OrderProbe(order);
        using var filter = new WriteIntentFilter(probe, gate);
        for (int i = 1; i <= 4; i++)
        {
            filter.Submit(new BlockRequest(static _ => { })
            {
                Operation = i == 3 ? BlockOperation.Read : BlockOperation.Write,
                OffsetBytes = i,
                LengthBytes = 1,
            });
        }

        Assert.Empty(order);
        Assert.Equal(3, gate.Entered); // one store is for all who wait
        gate.Open();

        Assert.Equal([1, 2, 3, 4], order);
    }

    private (WriteIntentLog, EpochTagFilter, WriteIntentFilter) Open(IBlockDevice disk)
    {
        var log = new WriteIntentLog(FilePath, DiskBytes);
        var tags = new EpochTagFilter(disk, 0, log.Changes);
        return (log, tags, new WriteIntentFilter(tags, log));
    }

    private List<DiskRange> Stored()
    {
        using var file = new WriteIntentLog(FilePath, DiskBytes);
        return file.Ranges(0, 100);
    }

    private void Reopen()
    {
        _log.Dispose();
        (_log, _tags, _filter) = Open(_disk);
    }

    private static void Write(WriteIntentFilter device, long offsetBytes, int lengthBytes)
    {
        using var done = new ManualResetEventSlim();
        device.Submit(new BlockRequest(_ => done.Set())
        {
            Operation = BlockOperation.Write,
            OffsetBytes = offsetBytes,
            LengthBytes = lengthBytes,
            Buffer = new byte[lengthBytes],
        });
        Assert.True(done.Wait(60_000, TestContext.Current.CancellationToken));
    }

    /// <summary>Looks into the file when the write arrives.</summary>
    private sealed class Probe(WriteIntentLogTests test) : BlockFilter(test._disk)
    {
        public List<DiskRange> KnownAtWrite { get; private set; } = [];

        public override void Submit(BlockRequest request)
        {
            KnownAtWrite = test.Stored();
            base.Submit(request);
        }
    }

    /// <summary>Lets writes to one place wait.</summary>
    private sealed class SlowDisk(IBlockDevice inner, long offsetBytes) : BlockFilter(inner)
    {
        private BlockRequest? _waiting;

        public ManualResetEventSlim Arrived { get; } = new();

        public override void Submit(BlockRequest request)
        {
            if (request.OffsetBytes == offsetBytes)
            {
                _waiting = request;
                Arrived.Set();
            }
            else
            {
                base.Submit(request);
            }
        }

        public void Go() => base.Submit(_waiting!);
    }

    /// <summary>Looks into the file when it is shown a change.</summary>
    private sealed class Looking(Func<List<DiskRange>> stored) : IEpochTagObserver
    {
        public List<DiskRange> KnownWhenShown { get; private set; } = [];

        public void OnTagged(int disk, ulong epoch, BlockRequest request) => KnownWhenShown = stored();

        public void OnCopied(int disk, long offsetBytes, ReadOnlyMemory<byte> bytes)
        {
        }

        public void OnTaggedFailed(int disk, BlockOperation operation, BlockStatus status)
        {
        }
    }

    private sealed class OrderProbe(List<long> order) : IBlockDevice
    {
        public long LengthBytes => 100;

        public bool IsReadOnly => false;

        public void Submit(BlockRequest request) => order.Add(request.OffsetBytes);

        public void Dispose()
        {
        }
    }

    private sealed class ClosedIntent : IWriteIntent
    {
        private bool _isOpen;

        public Action OnPrepared { get; set; } = static () => { };

        public int Entered { get; private set; }

        public void Enter(long offsetBytes, long lengthBytes) => Entered++;

        public bool? IsPrepared(long offsetBytes, long lengthBytes) => _isOpen ? true : null;

        public void Leave(long offsetBytes, long lengthBytes) => Entered--;

        public void Open()
        {
            _isOpen = true;
            OnPrepared();
        }
    }

    private sealed class Ignorant : IEpochTagObserver
    {
        public void OnTagged(int disk, ulong epoch, BlockRequest request)
        {
        }

        public void OnCopied(int disk, long offsetBytes, ReadOnlyMemory<byte> bytes)
        {
        }

        public void OnTaggedFailed(int disk, BlockOperation operation, BlockStatus status)
        {
        }
    }
}
