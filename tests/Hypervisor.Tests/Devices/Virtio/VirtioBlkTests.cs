using System;
using System.Linq;
using System.Text;
using Hypervisor.Backends.Block;
using Hypervisor.Core.Memory;
using Hypervisor.Devices.Virtio;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Devices.Virtio;

public sealed class VirtioBlkTests : IDisposable
{
    private const int DiskBytes = 1 << 20;
    private const byte Ok = 0, IoError = 1, Unsupported = 2, Untouched = 0xFF;
    private const byte NeedsReset = 64;

    private readonly SimDisk _disk = new(DiskBytes) { IsImmediate = true };
    private readonly VirtioBench _bench;

    public VirtioBlkTests() => _bench = Bench(_disk, new VirtioBlkOptions { Serial = "disk-7" });

    public void Dispose()
    {
        _bench.Dispose();
        _disk.Dispose();
    }

    [Theory]
    [InlineData(false, 0UL)]
    [InlineData(true, 0UL)]
    [InlineData(true, BlkDriver.EventIndex)]
    public void Written_sectors_are_read_back(bool isIndirect, ulong extraFeatures)
    {
        var driver = new BlkDriver(_bench, BlkDriver.AllFeatures | extraFeatures);
        byte[] data = BlkDriver.Pattern(4096, 5);

        int write = driver.Submit(BlkDriver.Out, 3, data, 0, isIndirect);
        Assert.Equal(Untouched, driver.Status(write)); // a completion comes through the event loop
        _bench.Harness.EventLoop.RunPosted();
        int read = driver.Submit(BlkDriver.In, 3, null, 4096, isIndirect);
        _bench.Harness.EventLoop.RunPosted();

        Assert.Equal(Ok, driver.Status(write));
        Assert.Equal(Ok, driver.Status(read));
        Assert.Equal(data, driver.DataOf(read, 4096));
        Assert.Equal(data, _disk.Data[1536..(1536 + 4096)]);
        Assert.True(driver.Queue.TryTakeUsed(out _, out uint written));
        Assert.Equal(1u, written);
        Assert.True(driver.Queue.TryTakeUsed(out _, out written));
        Assert.Equal(4097u, written);
    }

    [Fact]
    public void Completion_sends_the_queue_s_message()
    {
        var driver = new BlkDriver(_bench);

        driver.Submit(BlkDriver.Flush, 0);
        Assert.Empty(_bench.Harness.Messages);
        _bench.Harness.EventLoop.RunPosted();

        Assert.Equal((BlkDriver.MsiAddress, BlkDriver.MsiData), Assert.Single(_bench.Harness.Messages));
    }

    [Fact]
    public void Rule_11_read_marks_every_page_that_it_writes_dirty_and_no_other()
    {
        var driver = new BlkDriver(_bench);
        int slot = driver.Prepare(BlkDriver.In, 0, null, 8192);
        Clean(_bench);

        driver.Pci.Kick(0);
        _bench.Harness.EventLoop.RunPosted();

        long data = (long)(BlkDriver.SlotGpa(slot) + 0x1000) / 4096;
        long[] expected = [(long)driver.Queue.Used / 4096, data - 1, data, data + 1]; // data - 1: the status byte
        Assert.Equal(expected, DirtyPages(_bench));
    }

    [Fact]
    public void Rule_11_entropy_marks_its_page_dirty()
    {
        const long Target = 0x30_0000;
        using var bench = new VirtioBench(context => new VirtioRng(context, 0));
        VirtioPciDriver pci = bench.Probe();
        Assert.True(pci.Negotiate(VirtioPciDriver.Version1));
        var queue = new VirtqueueDriver(bench.Harness.Ram, 0x10_0000, 64);
        pci.SetUpQueue(0, queue, 1);
        pci.Start();
        queue.Add(((ulong)Target, 32u, true));
        Clean(bench);

        pci.Kick(0);

        Assert.Equal([(long)queue.Used / 4096, Target / 4096], DirtyPages(bench));
    }

    [Fact]
    public void Rule_15_bytes_that_reach_the_disk_are_those_of_the_submission()
    {
        _disk.IsImmediate = false;
        var driver = new BlkDriver(_bench);
        byte[] data = BlkDriver.Pattern(512, 5);
        int slot = driver.Submit(BlkDriver.Out, 3, data);

        _bench.Harness.Ram.TryWrite(BlkDriver.SlotGpa(slot) + 0x1000, new byte[512]); // a guest that cannot wait
        _disk.CompleteAll();

        Assert.Equal(data, _disk.Data[1536..2048]);
    }

    [Fact]
    public void Identity_flush_discard_and_write_zeroes_are_carried_out()
    {
        var driver = new BlkDriver(_bench);
        Array.Fill(_disk.Data, (byte)0xAA);

        int id = driver.Submit(BlkDriver.GetId, 0, null, 20);
        int flush = driver.Submit(BlkDriver.Flush, 0);
        int zero = driver.Submit(BlkDriver.WriteZeroes, 0, BlkDriver.Range(2, 4, 1));
        int discard = driver.Submit(BlkDriver.Discard, 0, BlkDriver.Range(8, 1, 0));
        _bench.Harness.EventLoop.RunPosted();

        Assert.All([id, flush, zero, discard], slot => Assert.Equal(Ok, driver.Status(slot)));
        Assert.Equal("disk-7" + new string('\0', 14), Encoding.ASCII.GetString(driver.DataOf(id, 20)));
        Assert.Equal(
            [(BlockOperation.Flush, 0, 0), (BlockOperation.WriteZeroes, 1024, 2048),
                (BlockOperation.Discard, 4096, 512)],
            _disk.Log);
        Assert.Equal(0, _disk.Data.AsSpan(1024, 2048).IndexOfAnyExcept((byte)0) + 1);
    }

    [Theory]
    [InlineData(BlkDriver.In, 2048UL, 0, 512, IoError)]             // one sector behind the end
    [InlineData(BlkDriver.In, 2047UL, 0, 1024, IoError)]
    [InlineData(BlkDriver.In, ulong.MaxValue, 0, 512, IoError)]
    [InlineData(BlkDriver.In, 0x80_0000_0000_0000UL, 0, 512, IoError)] // times 512 this is 2^64
    [InlineData(BlkDriver.In, 0UL, 0, 511, IoError)]
    [InlineData(BlkDriver.Out, 2048UL, 512, 0, IoError)]
    [InlineData(BlkDriver.Out, 0UL, 513, 0, IoError)]
    [InlineData(BlkDriver.Discard, 0UL, 15, 0, Unsupported)]
    [InlineData(BlkDriver.Discard, 0UL, 32, 0, Unsupported)]       // two ranges
    [InlineData(7u, 0UL, 0, 0, Unsupported)]
    [InlineData(uint.MaxValue, 0UL, 512, 512, Unsupported)]
    public void Request_that_can_not_be_done_is_answered_and_the_disk_left_alone(
        uint type, ulong sector, int outBytes, int inBytes, byte status)
    {
        var driver = new BlkDriver(_bench);

        int slot = driver.Submit(type, sector, new byte[outBytes], inBytes);
        _bench.Harness.EventLoop.RunPosted();

        Assert.Equal(status, driver.Status(slot));
        Assert.Empty(_disk.Log);
        Assert.Equal(0, driver.Pci.Status & NeedsReset);
    }

    [Theory]
    [InlineData(2048UL, 1u, 0u, IoError)]
    [InlineData(0UL, 2049u, 0u, IoError)]
    [InlineData(0UL, uint.MaxValue, 0u, IoError)]
    [InlineData(0UL, 1u, 1u, Unsupported)] // unmap is for write-zeroes
    [InlineData(0UL, 1u, 4u, Unsupported)]
    public void Discard_range_is_checked(ulong sector, uint count, uint flags, byte status)
    {
        var driver = new BlkDriver(_bench);

        int slot = driver.Submit(BlkDriver.Discard, 0, BlkDriver.Range(sector, count, flags));

        Assert.Equal(status, driver.Status(slot));
        Assert.Empty(_disk.Log);
    }

    [Theory]
    [InlineData(BlockStatus.IoError, IoError)]
    [InlineData(BlockStatus.ReadOnly, IoError)]
    [InlineData(BlockStatus.OutOfRange, IoError)]
    [InlineData(BlockStatus.Unsupported, Unsupported)]
    public void Failed_read_hands_no_data_over(BlockStatus below, byte status)
    {
        var driver = new BlkDriver(_bench);
        Array.Fill(_disk.Data, (byte)0xAA);
        _disk.NextStatuses.Enqueue(below);

        int slot = driver.Submit(BlkDriver.In, 0, null, 512);
        _bench.Harness.EventLoop.RunPosted();

        Assert.Equal(status, driver.Status(slot));
        Assert.Equal(new byte[512], driver.DataOf(slot, 512));
    }

    [Fact]
    public void Read_only_disk_says_so_and_refuses_writes()
    {
        var disk = new SimDisk(DiskBytes) { IsReadOnly = true, IsImmediate = true };
        using VirtioBench bench = Bench(disk, new VirtioBlkOptions());
        var driver = new BlkDriver(bench, BlkDriver.AllFeatures | (1 << 5));

        int slot = driver.Submit(BlkDriver.Out, 0, new byte[512]);
        int range = driver.Submit(BlkDriver.WriteZeroes, 0, BlkDriver.Range(0, 1, 0));

        Assert.Equal(IoError, driver.Status(slot));
        Assert.Equal(IoError, driver.Status(range));
        Assert.Empty(disk.Log);
    }

    [Fact]
    public void Configuration_holds_capacity_and_limits()
    {
        using VirtioBench bench = Bench(_disk, new VirtioBlkOptions { QueueCount = 4 });
        VirtioPciDriver pci = bench.Probe();

        Assert.Equal(2048UL, pci.ReadConfig(0, 8));
        Assert.Equal(254UL, pci.ReadConfig(12, 4));
        Assert.Equal(512UL, pci.ReadConfig(20, 4));
        Assert.Equal(1UL, pci.ReadConfig(32, 1));
        Assert.Equal(4UL, pci.ReadConfig(34, 2));
        Assert.Equal(4UL, pci.ReadCommon(18, 2));
        Assert.Equal(1UL, pci.ReadConfig(40, 4));
        Assert.Equal(1UL, pci.ReadConfig(52, 4));
        Assert.Equal(0UL, pci.ReadConfig(60, 4));
        Assert.NotEqual(0UL, pci.DeviceFeatures & (1 << 12));
    }

    [Theory]
    [InlineData(0UL, true)]                             // neither: the driver relies on writes being durable
    [InlineData(1UL << 9, false)]                       // FLUSH
    [InlineData((1UL << 9) | BlkDriver.ConfigWce, false)]
    public void Write_is_followed_by_a_flush_unless_the_driver_flushes_itself(ulong features, bool isFlushed)
    {
        var driver = new BlkDriver(_bench, VirtioPciDriver.Version1 | features);

        int slot = driver.Submit(BlkDriver.Out, 0, new byte[512]);
        _bench.Harness.EventLoop.RunPosted();

        Assert.Equal(Ok, driver.Status(slot));
        Assert.Equal(isFlushed ? 2 : 1, _disk.Log.Count);
    }

    [Fact]
    public void Driver_can_turn_the_write_cache_off()
    {
        var driver = new BlkDriver(_bench, BlkDriver.AllFeatures | BlkDriver.ConfigWce);
        driver.Pci.WriteConfig(32, 1, 0);

        driver.Submit(BlkDriver.Out, 0, new byte[512]);

        Assert.Equal(0UL, driver.Pci.ReadConfig(32, 1));
        Assert.Equal([BlockOperation.Write, BlockOperation.Flush], _disk.Log.Select(entry => entry.Operation));
    }

    [Fact]
    public void Resize_raises_a_configuration_interrupt_and_a_new_generation()
    {
        var driver = new BlkDriver(_bench);
        ulong generation = driver.Pci.ReadCommon(21, 1);

        ((VirtioBlk)_bench.Transport.Device).OnResized();

        Assert.Equal((BlkDriver.MsiAddress, BlkDriver.MsiData + 100), Assert.Single(_bench.Harness.Messages));
        Assert.NotEqual(generation, driver.Pci.ReadCommon(21, 1));
    }

    [Fact]
    public void Rule_24_bigger_disk_reaches_the_guest_once_the_image_is_bigger()
    {
        _disk.IsImmediate = false;
        var driver = new BlkDriver(_bench);
        var device = (VirtioBlk)_bench.Transport.Device;
        ulong before = driver.Pci.ReadConfig(0, 4);

        device.Resize(2 * _disk.LengthBytes);
        device.Resize(_disk.LengthBytes); // one at a time: this one is lost, and who asked sees that
        _bench.Harness.EventLoop.RunPosted();
        ulong meanwhile = driver.Pci.ReadConfig(0, 4);
        _disk.CompleteAll();
        _bench.Harness.EventLoop.RunPosted();

        Assert.Equal((before, 2 * before), (meanwhile, driver.Pci.ReadConfig(0, 4)));
        Assert.Equal((BlkDriver.MsiAddress, BlkDriver.MsiData + 100), Assert.Single(_bench.Harness.Messages));
    }

    [Fact]
    public void Rule_24_guest_hears_after_a_takeover_of_a_size_that_it_had_not_heard_of()
    {
        var driver = new BlkDriver(_bench);
        ulong before = driver.Pci.ReadConfig(0, 4);
        _disk.Resize(_disk.LengthBytes / 2); // in the epoch, as the section is not

        _bench.Transport.ResumeInFlight();

        Assert.Equal(before / 2, driver.Pci.ReadConfig(0, 4));
        Assert.Equal((BlkDriver.MsiAddress, BlkDriver.MsiData + 100), Assert.Single(_bench.Harness.Messages));
    }

    [Fact]
    public void Reset_drops_what_is_in_flight_and_late_completions()
    {
        _disk.IsImmediate = false;
        var driver = new BlkDriver(_bench);
        int slot = driver.Submit(BlkDriver.In, 0, null, 512);
        driver.Pci.Status = 0;
        Assert.Equal(0, driver.Pci.Status);

        _disk.CompleteAll();
        _bench.Harness.EventLoop.RunPosted();

        Assert.Equal(Untouched, driver.Status(slot));
        Assert.Equal(0, driver.Queue.UsedIndex);
        Assert.Empty(_bench.Harness.Messages);
        _disk.IsImmediate = true;
        var again = new BlkDriver(_bench);
        int second = again.Submit(BlkDriver.In, 0, null, 512);
        _bench.Harness.EventLoop.RunPosted();
        Assert.Equal(Ok, again.Status(second));
    }

    [Fact]
    public void Reset_of_a_queue_alone_drops_its_requests_only()
    {
        _disk.IsImmediate = false;
        var driver = new BlkDriver(_bench, BlkDriver.AllFeatures | (1UL << 40));
        int slot = driver.Submit(BlkDriver.In, 0, null, 512);

        driver.Pci.WriteCommon(22, 2, 0);
        driver.Pci.WriteCommon(58, 2, 1);
        _disk.CompleteAll();
        _bench.Harness.EventLoop.RunPosted();

        Assert.Equal(0UL, driver.Pci.ReadCommon(58, 2));
        Assert.Equal(0UL, driver.Pci.ReadCommon(28, 2));
        Assert.Equal(Untouched, driver.Status(slot));
    }

    [Fact]
    public void Requests_beyond_the_memory_limit_wait_and_none_is_lost()
    {
        const uint bytes = 7 << 20; // two fit into 16 MiB, a third does not
        var disk = new SimDisk(bytes);
        using VirtioBench bench = Bench(disk, new VirtioBlkOptions(), ramBytes: 64 << 20);
        var driver = new BlkDriver(bench);
        for (int i = 0; i < 5; i++)
        {
            int slot = driver.Prepare(BlkDriver.Flush, 0); // writes header and status; its own chain is replaced
            driver.Queue.TryTakeUsed(out _, out _);
            Assert.Equal(i, slot);
        }

        bench.Harness.Ram.TryWrite(BlkDriver.SlotGpa(0), new byte[16]);
        driver.Queue.SetDescriptor(0, BlkDriver.SlotGpa(0), 16, VirtqueueDriver.Next, 1);
        driver.Queue.SetDescriptor(1, 32 << 20, bytes, VirtqueueDriver.Next | VirtqueueDriver.Write, 2);
        driver.Queue.SetDescriptor(2, BlkDriver.SlotGpa(0) + 0x800, 1, VirtqueueDriver.Write, 0);
        for (ushort i = 0; i < 5; i++)
        {
            bench.Harness.Ram.TryWrite(driver.Queue.Available + 4 + (2UL * i), [0, 0]);
        }

        driver.Pci.Kick(0);
        Assert.Equal(2, disk.Pending.Count);
        while (disk.Pending.Count != 0)
        {
            disk.Complete(0);
            bench.Harness.EventLoop.RunPosted();
            Assert.InRange(disk.Pending.Count, 0, 2);
        }

        Assert.Equal(5, disk.Log.Count);
        Assert.Equal(5, driver.Queue.UsedIndex);
    }

    private static VirtioBench Bench(IBlockDevice disk, VirtioBlkOptions options, long ramBytes = 1 << 24)
        => new(context => new VirtioBlk(context, 0, disk, options), ramBytes);

    private static void Clean(VirtioBench bench)
    {
        for (long page = 0; page < bench.Harness.Ram.PageCount; page++)
        {
            bench.Harness.Ram.ClearFlags(page, PageState.Dirty);
        }
    }

    private static long[] DirtyPages(VirtioBench bench)
    {
        byte[] states = bench.Harness.Ram.StateBytes.ToArray();
        return [.. states.Index().Where(page => page.Item == (byte)PageState.Dirty).Select(page => (long)page.Index)];
    }
}
