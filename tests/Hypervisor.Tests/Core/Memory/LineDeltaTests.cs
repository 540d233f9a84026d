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
        byte[] packed = new byte[64 * LineDelta.LineBytesMax];
        for (int round = 0; round < 100; round++)
        {
            int changes = random.Next(1, 90);
            for (int i = 0; i < changes; i++)
            {
                _pages.Page(0)[random.Next(4096)] = (byte)random.Next(3);
            }

            ulong mask = PageKernels.ChangedLines(_pages.Page(1), _pages.Page(0));
            int length = LineDelta.Pack(_pages.Page(0), _pages.Page(1), mask, packed);
            Assert.Equal(length, LineDelta.Measure(packed.AsSpan(0, length), mask));
            LineDelta.Unpack(packed.AsSpan(0, length), mask, _pages.Page(2));

            Assert.True(_pages.Page(0).SequenceEqual(_pages.Page(1)), "the shadow differs");
            Assert.True(_pages.Page(0).SequenceEqual(_pages.Page(2)), "the rebuilt page differs");
        }
    }

    [Fact]
    public void Words_that_did_not_change_and_words_that_became_zero_cost_no_bytes()
    {
        _pages.Page(1)[64] = 1;      // becomes zero
        _pages.Page(1)[72] = 2;      // stays
        _pages.Page(0)[72] = 2;
        _pages.Page(0)[4095] = 3;    // is new
        byte[] packed = new byte[64 * LineDelta.LineBytesMax];

        ulong mask = PageKernels.ChangedLines(_pages.Page(1), _pages.Page(0));
        int length = LineDelta.Pack(_pages.Page(0), _pages.Page(1), mask, packed);

        Assert.Equal([0x01, 0x80, 0x01, 0x00, 0, 0, 0, 0, 0, 0, 0, 3], packed.AsSpan(0, length).ToArray());
    }

    [Theory]
    [InlineData(0x0, 0x0)] // a line without a change
    [InlineData(0x1, 0x2)] // a word that is zeroed and not changed
    public void Masks_that_contradict_each_other_have_no_length(byte changed, byte zeroed)
        => Assert.Equal(-1, LineDelta.Measure([changed, zeroed, 0, 0, 0, 0, 0, 0, 0, 0], mask: 1));

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
