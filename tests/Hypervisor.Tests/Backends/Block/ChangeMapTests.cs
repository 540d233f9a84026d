using System.Collections.Generic;
using Hypervisor.Backends.Block;
using Xunit;

namespace Hypervisor.Tests.Backends.Block;

public sealed class ChangeMapTests
{
    private const long Grain = 16 << 10;

    [Fact]
    public void Ranges_that_changed_after_a_stamp_are_found_and_no_others()
    {
        var map = new ChangeMap(10 * Grain);
        map.Mark(Grain, 1, 5);
        map.Mark((4 * Grain) - 1, 2, 6); // over a border
        map.Mark((9 * Grain) + 7, 1, 7);

        Assert.Equal([(Grain, Grain), (3 * Grain, 2 * Grain), (9 * Grain, Grain)], Find(map, 4));
        Assert.Equal([(3 * Grain, 2 * Grain), (9 * Grain, Grain)], Find(map, 5));
        Assert.Equal([(9 * Grain, Grain)], Find(map, 6));
        Assert.Empty(Find(map, 7));
        Assert.Equal(4 * Grain, map.CountBytes(4));
    }

    [Fact]
    public void Without_a_stamp_everything_counts_as_changed_in_ranges_of_the_length_that_is_wanted()
    {
        var map = new ChangeMap((5 * Grain) + 512);

        Assert.Equal(
            [(0, 2 * Grain), (2 * Grain, 2 * Grain), (4 * Grain, Grain + 512)], Find(map, null, 2 * Grain));
        Assert.Equal((5 * Grain) + 512, map.CountBytes(null));
    }

    [Fact]
    public void Last_chunk_ends_with_the_disk_and_ranges_may_be_shorter_than_chunks()
    {
        var map = new ChangeMap(Grain + 512);
        map.Mark(Grain, 512, 1);

        Assert.Equal([(Grain, 512)], Find(map, 0));
        Assert.Equal([(Grain, 300), (Grain + 300, 212)], Find(map, 0, 300));
    }

    [Fact]
    public void Large_disks_have_larger_chunks_and_no_more_of_them()
    {
        Assert.Equal(Grain, new ChangeMap(16L << 30).ChunkBytes);
        Assert.Equal(1 << 20, new ChangeMap(1L << 40).ChunkBytes);
    }

    [Fact]
    public void What_a_bigger_disk_has_more_is_a_change()
    {
        var map = new ChangeMap(4 * Grain);

        map.Resize(2 * Grain, 5);
        map.Resize(4 * Grain, 6); // zeroes, where the other side may still have what was there before

        Assert.Equal([(2 * Grain, 2 * Grain)], Find(map, 5));
        Assert.Empty(Find(map, 6));
    }

    private static List<(long Offset, long Length)> Find(ChangeMap map, ulong? after, long lengthMax = 1 << 30)
    {
        List<(long, long)> found = [];
        for (long from = 0; map.TryFind(from, after, lengthMax, out long offset, out long length);)
        {
            found.Add((offset, length));
            from = offset + length;
        }

        return found;
    }
}
