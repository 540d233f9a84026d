using System;
using Hypervisor.Core.Memory;
using Xunit;

namespace Hypervisor.Tests.Core.Memory;

public sealed class LineDeltaTests : IDisposable
{
    private readonly PrivateRam _pages = new(3);

    public void Dispose() => _pages.Dispose();

    [Fact]
    public void Every_single_byte_change_sets_the_bit_of_its_line()
    {
        for (int at = 0; at < 4096; at += 7)
        {
            _pages.Page(0)[at] ^= 0x10;

            Assert.Equal(1ul << (at / 64), PageKernels.ChangedLines(_pages.Page(1), _pages.Page(0)));

            _pages.Page(0)[at] ^= 0x10;
        }
    }

    [Fact]
    public void Packed_lines_rebuild_the_page_and_bring_the_shadow_along()
    {
        var random = new Random(3);
        byte[] packed = new byte[4096];
        for (int round = 0; round < 100; round++)
        {
            int changes = random.Next(1, 90);
            for (int i = 0; i < changes; i++)
            {
                _pages.Page(0)[random.Next(4096)] = (byte)random.Next();
            }

            ulong mask = PageKernels.ChangedLines(_pages.Page(1), _pages.Page(0));
            int length = LineDelta.Pack(_pages.Page(0), _pages.Page(1), mask, packed);
            LineDelta.Unpack(packed.AsSpan(0, length), mask, _pages.Page(2));

            Assert.Equal(LineDelta.PackedBytes(mask), length);
            Assert.True(_pages.Page(0).SequenceEqual(_pages.Page(1)), "the shadow differs");
            Assert.True(_pages.Page(0).SequenceEqual(_pages.Page(2)), "the rebuilt page differs");
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2048)]
    [InlineData(4095)]
    public void One_byte_makes_a_page_not_zero(int at)
    {
        Assert.True(PageKernels.IsZero(_pages.Page(0)));

        _pages.Page(0)[at] = 1;

        Assert.False(PageKernels.IsZero(_pages.Page(0)));
    }
}
