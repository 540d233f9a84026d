using Hypervisor.Cpu.Translation;
using Xunit;

namespace Hypervisor.Tests.Cpu.Translation;

public sealed class JumpPagesTests
{
    private const ulong Page = 0xFFFF_8000_1234_5000;
    private const ulong SameSlot = Page + (1ul << (12 + 14));

    private readonly JumpPages _pages = new();

    [Fact]
    public void Pages_are_told_apart_until_two_share_a_slot()
    {
        Assert.False(_pages.MayHave(Page));
        _pages.Add(Page + 0x123);

        Assert.True(_pages.MayHave(Page + 0xFFF));
        Assert.False(_pages.MayHave(Page + 0x1000));
        Assert.False(_pages.MayHave(SameSlot));

        _pages.Add(SameSlot);
        Assert.True(_pages.MayHave(Page));
        Assert.True(_pages.MayHave(SameSlot));
    }

    [Fact]
    public void Cleared_pages_are_gone()
    {
        _pages.Add(Page);
        _pages.Add(SameSlot);
        _pages.Clear();

        Assert.False(_pages.MayHave(Page));
        Assert.False(_pages.MayHave(SameSlot));
    }
}
