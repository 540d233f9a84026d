using System;
using System.Buffers.Binary;
using System.Threading;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Block.Filters;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Standby;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Replication.Session;

/// <summary>A pair whose halves reach one disk, besides two of their own.</summary>
public sealed class SharedDiskPairTests : IDisposable
{
    private readonly ToyDisk _image = new(SessionNode.DiskBytes);
    private readonly ImageOwner _owner = new();

    public void Dispose() => _image.Dispose();

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)]
    public void Rule_04_takeover_in_the_middle_of_a_release_leaves_what_is_committed(int changesLeft)
    {
        var way = new BreakingWay(_image);
        using var pair = new SessionPair(shared: (_owner.Open(way), _owner.Open(_image)));
        Assert.True(pair.SharedOfPrimary.TryAcquire());
        pair.Protect();
        pair.Await(() => pair.PrimaryMachine.Step > 40, "the guest does not get on");

        // So many changes more reach the disk, and then the primary is dead.
        way.BreakAfter(changesLeft);
        pair.Await(() => way.IsBroken, "nothing was released");
        pair.Primary!.Dispose();
        _owner.Free();
        AssertGoesOnWithAllThatIsCommitted(pair);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    public void Rule_04_switch_over_repeats_what_was_let_out_and_never_arrived(int changesLeft)
    {
        var way = new BreakingWay(_image);
        using var pair = new SessionPair(shared: (_owner.Open(way), _owner.Open(_image)));
        Assert.True(pair.SharedOfPrimary.TryAcquire());
        pair.Protect();
        pair.Await(() => pair.PrimaryMachine.Step > 40, "the guest does not get on");

        way.BreakAfter(changesLeft, isAtWrite: true);
        pair.Await(() => way.IsBroken, "nothing was released");
        pair.Primary!.SwitchOver();
        pair.Await(() => pair.PrimaryLog.IsPlannedEnd is not null, "the primary did not hand over");
        pair.Await(() => pair.StandbyLog.Says("still locked by the primary"), "the standby did not wait");
        Assert.Equal(0u, pair.StandbyLog.RunningGeneration);
        _owner.Free(); // its process was killed with a change on its way

        AssertGoesOnWithAllThatIsCommitted(pair);
    }

    [Fact]
    public void Rule_26_primary_whose_lease_ran_out_in_its_sleep_writes_no_more()
    {
        using var pair = new SessionPair(shared: (_owner.Open(_image), _owner.Open(_image)));
        Assert.True(pair.SharedOfPrimary.TryAcquire());
        pair.Protect();
        pair.Await(() => pair.SharedOfPrimary.MayWrite(), "nothing was acknowledged");

        pair.Primary!.Hang(true); // nobody is awake who could say that the lease is over

        pair.Await(() => !pair.SharedOfPrimary.MayWrite(), "its lease has no end");
        pair.Primary.Hang(false);
    }

    [Fact]
    public void Rule_28_hung_primary_keeps_the_lock_until_it_has_given_way()
    {
        using var pair = new SessionPair(
            takeoverMillis: 2000, shared: (_owner.Open(_image), _owner.Open(_image)));
        Assert.True(pair.SharedOfPrimary.TryAcquire());
        pair.Protect();
        pair.Primary!.Hang(true);
        pair.Await(() => pair.StandbyLog.Says("still locked by the primary"), "the standby did not say why");
        long newest = Newest(_image.Content);
        Assert.Equal(0u, pair.StandbyLog.RunningGeneration);

        pair.Primary.Hang(false);
        pair.Await(() => pair.Primary.Statistics.Status.State == PrimaryState.Demoted, "it did not give way");
        AssertGoesOnWithAllThatIsCommitted(pair);
        Assert.True(newest > 0);
    }

    [Fact]
    public void Rule_29_guest_that_goes_on_alone_has_its_shared_disk_again()
    {
        using var pair = new SessionPair(shared: (_owner.Open(_image), _owner.Open(_image)));
        Assert.True(pair.SharedOfPrimary.TryAcquire());
        pair.Protect();

        pair.Standby.Dispose();
        pair.Await(() => pair.PrimaryLog.Count("Alone") > 1, "the primary did not go on alone");
        long step = pair.PrimaryMachine.Step;
        pair.Await(() => pair.PrimaryMachine.Step > step + 20, "the guest stands still");

        Assert.True(Newest(_image.Content) >= step + 20);
        Assert.False(_owner.Open(_image).TryAcquire());
    }

    [Fact]
    public void Rule_25_image_that_the_primary_does_not_hold_is_refused()
    {
        var another = new ImageOwner();
        using var copy = new ToyDisk(SessionNode.DiskBytes);
        using var pair = new SessionPair(shared: (_owner.Open(_image), another.Open(copy)));
        Assert.True(pair.SharedOfPrimary.TryAcquire());

        pair.StartPrimary();

        pair.Await(() => pair.StandbyLog.Says("nobody holds the image's lock here"), "the standby took it");
        pair.Await(() => pair.PrimaryLog.Says("nobody holds the image's lock here"), "the primary was not told");
        pair.Await(() => pair.Standby.Statistics.Status.State == StandbyState.Failed, "the standby goes on");
    }

    [Fact]
    public void Scrub_and_full_copy_leave_the_shared_disk_out()
    {
        using var pair = new SessionPair(shared: (_owner.Open(_image), _owner.Open(_image)));
        Assert.True(pair.SharedOfPrimary.TryAcquire());
        pair.Protect();

        pair.Primary!.Scrub(1L << 40);
        pair.Await(
            () => pair.Primary.Statistics.Status.Scrub is { State: not ScrubState.Running, Number: 1 },
            "the scrub does not end");

        ScrubStatus scrub = pair.Primary.Statistics.Status.Scrub;
        Assert.Equal((ScrubState.Same, ""), (scrub.State, scrub.Reason));
        Assert.Equal(SessionPair.RamBytes + (2 * SessionNode.DiskBytes), scrub.SentBytes);
        Assert.True(pair.PrimaryLog.Says("all of RAM and 2 disks are the same"));
        Assert.False(pair.PrimaryLog.Says("disk 2:"));
    }

    [Fact]
    public void Rule_04_shared_disk_never_has_more_than_what_is_committed()
    {
        using var pair = new SessionPair(shared: (_owner.Open(_image), _owner.Open(_image)));
        Assert.True(pair.SharedOfPrimary.TryAcquire());
        pair.Protect();
        for (int look = 0; look < 50; look++)
        {
            long step = pair.PrimaryMachine.Step;
            pair.Await(() => pair.PrimaryMachine.Step > step, "the guest does not get on");
            long onDisk = Newest(_image.Content);
            ulong committed = pair.Standby.Statistics.Status.CommittedEpoch;

            // Step n + 1 begins when the flush of step n has ended, which is when its epoch was released.
            Assert.True(onDisk <= pair.PrimaryMachine.Step + 1 && committed > 0);
            Assert.True(Newest(pair.PrimaryDisks[0].Content) >= onDisk);
        }
    }

    [Fact]
    public void Rule_41_standby_does_not_overtake_a_primary_that_holds_the_disk()
    {
        using var pair = new SessionPair(shared: (_owner.Open(_image), _owner.Open(_image)));
        Assert.True(pair.SharedOfPrimary.TryAcquire());
        pair.Protect();

        pair.Primary!.Dispose(); // but its process hangs on to the image
        pair.Await(
            () => pair.StandbyLog.ToString().Contains("still locked by the primary", StringComparison.Ordinal),
            "the standby did not say why");

        Assert.Equal(0u, pair.StandbyLog.RunningGeneration);
    }

    private void AssertGoesOnWithAllThatIsCommitted(SessionPair pair)
    {
        pair.Await(() => pair.StandbyLog.RunningGeneration != 0, "the standby did not take over");
        long step = pair.StandbyMachine.Step;
        pair.Await(() => pair.StandbyMachine.Step > step + 20, "the guest stands still");

        pair.StandbyMachine.Pause();
        int lines = SessionPair.AssertContiguous(pair.CombinedOutput());
        Assert.Equal(pair.StandbyMachine.Step, lines);
        int slots = ToyMachine.SlotsOf(SessionNode.DiskBytes);
        for (int record = Math.Max(1, lines - slots + 2); record <= lines; record++)
        {
            int at = record % slots * ToyMachine.RecordBytes;
            Assert.Equal(record, BinaryPrimitives.ReadInt64LittleEndian(_image.Content[at..]));
        }

        pair.StandbyMachine.Resume();
    }

    private static long Newest(ReadOnlySpan<byte> disk)
    {
        long newest = 0;
        for (int at = 0; at < disk.Length; at += ToyMachine.RecordBytes)
        {
            newest = Math.Max(newest, BinaryPrimitives.ReadInt64LittleEndian(disk[at..]));
        }

        return newest;
    }

    /// <summary>The lock of an image, without files.</summary>
    private sealed class ImageOwner
    {
        private int _isOwned;

        public SharedDisk Open(IBlockDevice view)
            => new(view, () => Interlocked.CompareExchange(ref _isOwned, 1, 0) == 0, Free);

        public void Free() => Interlocked.Exchange(ref _isOwned, 0);
    }

    /// <summary>A way to a disk that breaks: what comes later never arrives and never ends.</summary>
    private sealed class BreakingWay(ToyDisk inner) : IBlockDevice
    {
        private int _left = int.MaxValue;
        private bool _isAtWrite;

        public long LengthBytes => inner.LengthBytes;

        public bool IsReadOnly => inner.IsReadOnly;

        public bool IsBroken => Volatile.Read(ref _left) < 0;

        // With a write that does not arrive, or with whatever comes then.
        public void BreakAfter(int changes, bool isAtWrite = false)
        {
            _isAtWrite = isAtWrite;
            Volatile.Write(ref _left, changes);
        }

        public void Submit(BlockRequest request)
        {
            int left = Volatile.Read(ref _left);
            bool isNoWrite = _isAtWrite && request.Operation != BlockOperation.Write;
            if (request.Operation == BlockOperation.Read || left == int.MaxValue || (isNoWrite && left >= 0)
                || Interlocked.Decrement(ref _left) >= 0)
            {
                inner.Submit(request);
            }
        }

        public void Dispose()
        {
            // the disk is the test's
        }
    }
}
