using System;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Block.Filters;
using Hypervisor.TestKit;
using Xunit;

namespace Hypervisor.Tests.Backends.Block.Filters;

public sealed class FrozenDiskTests : IDisposable
{
    private const int DiskBytes = 80 << 20;
    private const int Sector = 512;

    private readonly ToyDisk _disk = new(DiskBytes);
    private readonly FreezableDisk _freezable;
    private readonly FrozenDisk _frozen;
    private readonly BlockingBlockDevice _here;
    private readonly BlockingBlockDevice _there;

    public FrozenDiskTests()
    {
        _freezable = new FreezableDisk(_disk);
        _frozen = _freezable.NewFrozen();
        _here = new BlockingBlockDevice(_freezable);
        _there = new BlockingBlockDevice(_frozen);
        Assert.Equal(BlockStatus.Ok, _here.Write(0, Of(1, 4 * Sector)));
        _freezable.Freeze(_frozen);
    }

    public void Dispose()
    {
        _freezable.Thaw();
        _freezable.Dispose();
        _here.Dispose();
        _there.Dispose();
        _frozen.Dispose();
        _disk.Dispose();
    }

    [Fact]
    public void Change_of_the_disk_does_not_reach_the_frozen_one()
    {
        Assert.Equal(BlockStatus.Ok, _here.Write(0, Of(2, Sector)));
        Assert.Equal(BlockStatus.Ok, _here.WriteZeroes(Sector, Sector));
        Assert.Equal(BlockStatus.Ok, _here.Write(0, Of(3, Sector))); // again: what is kept is the oldest

        Assert.Equal([1, 1, 1, 1], Firsts());
        Assert.Equal((3, 0), (_disk.Content[0], _disk.Content[Sector]));
    }

    [Fact]
    public void Change_of_the_frozen_one_does_not_reach_the_disk_and_stays()
    {
        Assert.Equal(BlockStatus.Ok, _there.Write(Sector, Of(7, Sector)));
        Assert.Equal(BlockStatus.Ok, _there.WriteZeroes(2 * Sector, Sector));

        Assert.Equal(1, _disk.Content[Sector]);
        Assert.Equal(1, _disk.Content[2 * Sector]);
        Assert.Equal(BlockStatus.Ok, _here.Write(0, Of(9, 4 * Sector)));
        Assert.Equal([1, 7, 0, 1], Firsts());
    }

    [Fact]
    public void What_cannot_be_kept_breaks_the_frozen_one_and_not_the_disk()
    {
        Assert.Equal(BlockStatus.Ok, _here.WriteZeroes(0, DiskBytes));

        Assert.True(_frozen.IsBroken);
        Assert.Equal(0, _disk.Content[0]);
        Assert.Equal(BlockStatus.IoError, _there.Read(0, new byte[Sector]));
    }

    [Fact]
    public void What_the_disk_fails_to_read_breaks_the_frozen_one()
    {
        _disk.ReadStatus = BlockStatus.IoError;
        Assert.Equal(BlockStatus.Ok, _here.Write(0, Of(2, Sector)));
        _disk.ReadStatus = BlockStatus.Ok;

        Assert.True(_frozen.IsBroken);
        Assert.Equal(BlockStatus.IoError, _there.Read(0, new byte[Sector]));
        Assert.Equal(2, _disk.Content[0]);
    }

    [Fact]
    public void Many_changes_on_both_sides_at_once_mix_nothing()
    {
        Assert.Equal(BlockStatus.Ok, _here.Write(0, Of(1, 1 << 20))); // before the moment that counts
        using FrozenDisk frozen = _freezable.NewFrozen();
        using var there = new BlockingBlockDevice(frozen);
        _freezable.Freeze(frozen);
        var writer = new System.Threading.Thread(() =>
        {
            for (int i = 0; i < 2000; i++)
            {
                _ = _here.Write(i % 64 * 16 * 1024, Of(2, 16 * 1024));
            }
        });
        writer.Start();

        byte[] seen = new byte[16 * 1024];
        try
        {
            for (int i = 0; i < 2000; i++)
            {
                Assert.Equal(BlockStatus.Ok, there.Read((2000 - i) % 64 * 16 * 1024, seen));
                Assert.False(seen.AsSpan().ContainsAnyExcept((byte)1));
            }
        }
        finally
        {
            writer.Join(); // what fails ends the test, not only its thread
            _freezable.Thaw();
        }
    }

    private static byte[] Of(byte value, int length)
    {
        byte[] bytes = new byte[length];
        Array.Fill(bytes, value);
        return bytes;
    }

    private byte[] Firsts()
    {
        byte[] all = new byte[4 * Sector];
        Assert.Equal(BlockStatus.Ok, _there.Read(0, all));
        return [all[0], all[Sector], all[2 * Sector], all[3 * Sector]];
    }
}
