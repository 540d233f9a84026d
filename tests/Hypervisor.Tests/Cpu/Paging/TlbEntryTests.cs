using Hypervisor.Cpu.Paging;
using Xunit;

namespace Hypervisor.Tests.Cpu.Paging;

public sealed class TlbEntryTests
{
    private const ulong Page = 0xFFFF_8880_1234_5000;

    [Theory]
    [InlineData(0x000, 1, true)]
    [InlineData(0xFFF, 1, true)]
    [InlineData(0xFF8, 8, true)]
    [InlineData(0xFF9, 8, false)]
    [InlineData(0xFFF, 64, false)]
    public void Access_hits_when_all_of_it_lies_on_the_page(int offset, int sizeBytes, bool hits)
        => Assert.Equal(hits, TlbEntry.Hits(TlbEntry.TagOf(Page), Page + (ulong)offset, sizeBytes));

    [Theory]
    [InlineData(0x100_0000)]
    [InlineData(0x40_0000_0000)]
    [InlineData(0x8000_0000_0000_0000)]
    public void Page_of_the_same_slot_misses(ulong distance)
    {
        ulong tag = TlbEntry.TagOf(Page);

        Assert.False(TlbEntry.Hits(tag, Page + distance, 1));
        Assert.False(TlbEntry.Hits(tag, Page - distance, 64));
        Assert.False(TlbEntry.Hits(tag, Page - distance + 0xFFF, 64));
    }

    [Fact]
    public void Unused_tag_matches_no_address_of_its_slot_not_even_one_that_wraps()
    {
        ulong[] regions = [0, 0x7FFF_FF00_0000, 0xFFFF_8000_0000_0000, 0xFFFF_FFFF_FF00_0000];
        for (int slot = 0; slot < TlbEntry.SlotCount; slot++)
        {
            foreach (ulong region in regions)
            {
                ulong page = region + ((ulong)slot << 12);
                Assert.Equal(slot, TlbEntry.SlotOf(page));
                Assert.False(TlbEntry.Hits(TlbEntry.Unused(slot), page, 1));
                Assert.False(TlbEntry.Hits(TlbEntry.Unused(slot), page + 0xFFF, 64));
            }
        }
    }
}
