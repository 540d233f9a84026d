using System;
using System.IO;
using System.Linq;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Block.Filters;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Backends.Block;

public sealed class BlockChainTests : IDisposable
{
    private const int Size = 1 << 20;

    private readonly string _path = Path.Combine(Path.GetTempPath(), $"hv-chain-{Guid.NewGuid():N}.img");

    public void Dispose() => File.Delete(_path);

    [Fact]
    public void Writethrough_flushes_after_every_change_and_before_its_completion()
    {
        var disk = new SimDisk(Size);
        using var filter = new WriteThroughFilter(disk);
        bool isCompleted = false;
        filter.Submit(Write(0, 512, 7, () => isCompleted = true));

        disk.Complete(0);
        Assert.False(isCompleted);
        disk.Complete(0);

        Assert.True(isCompleted);
        Assert.Equal([BlockOperation.Write, BlockOperation.Flush], disk.Log.Select(entry => entry.Operation));
        Assert.Equal(7, disk.Durable[0]);
    }

    [Fact]
    public void Writethrough_hands_a_failed_write_or_flush_up()
    {
        var disk = new SimDisk(Size) { IsImmediate = true };
        using var filter = new WriteThroughFilter(disk);
        using var blocking = new BlockingBlockDevice(filter);

        disk.NextStatuses.Enqueue(BlockStatus.IoError);
        Assert.Equal(BlockStatus.IoError, blocking.Write(0, new byte[512]));
        Assert.Single(disk.Log);
        disk.NextStatuses.Enqueue(BlockStatus.Ok);
        disk.NextStatuses.Enqueue(BlockStatus.IoError);
        Assert.Equal(BlockStatus.IoError, blocking.Write(0, new byte[512]));
        Assert.Equal(BlockStatus.Ok, blocking.Write(0, new byte[512]));
    }

    [Fact]
    public void Unsafe_never_flushes_and_ignored_discards_change_nothing()
    {
        var disk = new SimDisk(Size) { IsImmediate = true };
        using var filter = new IgnoreFilter(new IgnoreFilter(disk, BlockOperation.Flush), BlockOperation.Discard);
        using var blocking = new BlockingBlockDevice(filter);

        Assert.Equal(BlockStatus.Ok, blocking.Flush());
        Assert.Equal(BlockStatus.Ok, blocking.Discard(0, 512));
        Assert.Equal(BlockStatus.OutOfRange, blocking.Discard(Size, 512));

        Assert.Empty(disk.Log);
    }

    [Theory]
    [InlineData(CacheMode.Writeback)]
    [InlineData(CacheMode.None)]
    [InlineData(CacheMode.Writethrough)]
    [InlineData(CacheMode.Directsync)]
    [InlineData(CacheMode.Unsafe)]
    public void Every_cache_mode_stores_and_reads_back(CacheMode cache)
    {
        BlockFormat.Named("raw").Create(_path, Size);
        byte[] data = Enumerable.Range(0, 3000).Select(i => (byte)i).ToArray();
        using IBlockDevice device = BlockChain.Open(new DriveOptions(_path) { Cache = cache }, _ => { });
        using var disk = new BlockingBlockDevice(device);

        Assert.Equal(BlockStatus.Ok, disk.Write(Size - 3000, data));
        Assert.Equal(BlockStatus.Ok, disk.Flush());
        byte[] read = new byte[3000];
        Assert.Equal(BlockStatus.Ok, disk.Read(Size - 3000, read));

        Assert.Equal(data, read);
        Assert.Equal(data, File.ReadAllBytes(_path)[^3000..]);
    }

    [Fact]
    public void Snapshot_shows_its_writes_and_leaves_the_image_as_it_was()
    {
        byte[] before = Enumerable.Range(0, Size).Select(i => (byte)(i / 512)).ToArray();
        File.WriteAllBytes(_path, before);
        byte[] expected = (byte[])before.Clone();
        using (IBlockDevice device = BlockChain.Open(new DriveOptions(_path) { IsSnapshot = true }, _ => { }))
        using (var disk = new BlockingBlockDevice(device))
        {
            byte[] data = new byte[4096];
            Array.Fill(data, (byte)0xEE);
            Assert.Equal(BlockStatus.Ok, disk.Write(1024, data));
            Assert.Equal(BlockStatus.Ok, disk.WriteZeroes(8192, 1024));
            Assert.Equal(BlockStatus.Ok, disk.WriteZeroes(Size - 512, 512));
            Assert.Equal(BlockStatus.Ok, disk.Flush());
            Assert.Equal(BlockStatus.Unsupported, disk.Write(1, data));
            Assert.Equal(BlockStatus.OutOfRange, disk.Write(Size, data));

            data.CopyTo(expected, 1024);
            expected.AsSpan(8192, 1024).Clear();
            expected.AsSpan(Size - 512).Clear();
            byte[] read = new byte[Size];
            Assert.Equal(BlockStatus.Ok, disk.Read(0, read));
            Assert.Equal(expected, read);
        }

        Assert.Equal(before, File.ReadAllBytes(_path));
    }

    [Fact]
    public void Two_snapshots_of_one_image_run_side_by_side()
    {
        BlockFormat.Named("raw").Create(_path, Size);
        using IBlockDevice first = BlockChain.Open(new DriveOptions(_path) { IsSnapshot = true }, _ => { });
        using IBlockDevice second = BlockChain.Open(new DriveOptions(_path) { IsSnapshot = true }, _ => { });

        Assert.False(first.IsReadOnly || second.IsReadOnly);
    }

    [Fact]
    public void Read_only_snapshot_and_read_only_filter_refuse_changes()
    {
        BlockFormat.Named("raw").Create(_path, Size);
        DriveOptions options = new(_path) { IsSnapshot = true, IsReadOnly = true };
        using IBlockDevice device = BlockChain.Open(options, _ => { });
        using var disk = new BlockingBlockDevice(device);

        Assert.True(device.IsReadOnly);
        Assert.Equal(BlockStatus.ReadOnly, disk.Write(0, new byte[512]));
        Assert.Equal(BlockStatus.Ok, disk.Read(0, new byte[512]));
    }

    private static BlockRequest Write(long offset, int length, byte value, Action onCompleted)
    {
        byte[] data = new byte[length];
        Array.Fill(data, value);
        return new BlockRequest(_ => onCompleted())
        {
            Operation = BlockOperation.Write,
            OffsetBytes = offset,
            LengthBytes = length,
            Buffer = data,
        };
    }
}
