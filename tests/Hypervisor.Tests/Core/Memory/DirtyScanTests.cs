using System;
using System.Collections.Generic;
using System.Linq;
using Hypervisor.Core.Memory;
using Xunit;

namespace Hypervisor.Tests.Core.Memory;

public sealed class DirtyScanTests : IDisposable
{
    // 1 MiB + 5 pages: the last block of 64 states is not full, and the stride of 256 does not fit either.
    private readonly GuestRam _ram = new((1 << 20) + (5 * 4096));
    private readonly int[] _pages = new int[261];

    public void Dispose() => _ram.Dispose();

    [Fact]
    public void Clean_machine_has_no_dirty_page() => Assert.Equal(0, Harvest(PageState.CopyPending));

    [Theory]
    [InlineData(new[] { 0 })]
    [InlineData(new[] { 260 })]
    [InlineData(new[] { 63, 64, 127, 128, 255, 256 })]
    public void Dirty_pages_are_listed_in_order_and_become_copy_pending(int[] dirty)
    {
        foreach (int page in dirty.Reverse())
        {
            _ram.PrepareWrite(page * 4096L, 1);
        }

        int count = Harvest(PageState.CopyPending);

        Assert.Equal(dirty, _pages[..count]);
        Assert.All(dirty, page => Assert.Equal((byte)PageState.CopyPending, _ram.StateBytes[page]));
        Assert.Equal(0, Harvest(PageState.CopyPending));
    }

    [Fact]
    public void Every_pattern_of_flags_keeps_what_is_not_dirty()
    {
        for (int page = 0; page < 256; page++)
        {
            _ram.StateBytes[page] = (byte)page;
        }

        int count = Harvest(PageState.Clean);

        Assert.Equal(Enumerable.Range(0, 256).Where(state => (state & 1) != 0), _pages[..count]);
        for (int page = 0; page < 256; page++)
        {
            Assert.Equal(page & ~1, _ram.StateBytes[page]);
        }
    }

    [Fact]
    public void Random_sets_are_found_exactly()
    {
        var random = new Random(7);
        for (int round = 0; round < 200; round++)
        {
            var dirty = new SortedSet<int>();
            int wanted = random.Next(80);
            for (int i = 0; i < wanted; i++)
            {
                int page = random.Next(261);
                dirty.Add(page);
                _ram.PrepareWrite(page * 4096L, 1);
            }

            int count = Harvest(PageState.Clean);

            Assert.Equal(dirty, _pages[..count]);
        }
    }

    private int Harvest(PageState next) => DirtyScan.Harvest(_ram, _pages, next);
}
