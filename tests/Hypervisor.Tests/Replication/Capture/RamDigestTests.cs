using Hypervisor.Core.Memory;
using Hypervisor.Replication.Capture;
using Xunit;

namespace Hypervisor.Tests.Replication.Capture;

public sealed class RamDigestTests
{
    private readonly RamDigest _digest = new(pageCount: 8);
    private readonly byte[] _page = new byte[4096];

    [Fact]
    public void Zeroes_have_no_part_in_it()
    {
        _digest.Update(3, _page);

        Assert.Equal(0ul, _digest.Value);
    }

    [Fact]
    public void Content_that_comes_back_has_the_digest_that_it_had()
    {
        _page[7] = 1;
        _digest.Update(2, _page);
        ulong first = _digest.Value;
        _page[4000] = 9;
        _digest.Update(2, _page);
        Assert.NotEqual(first, _digest.Value);

        _page[4000] = 0;
        _digest.Update(2, _page);
        Assert.Equal(first, _digest.Value);

        _digest.Clear(2);
        Assert.Equal(0ul, _digest.Value);
    }

    [Fact]
    public void Pages_that_change_places_are_noticed()
    {
        byte[] other = [.. _page];
        _page[0] = 1;
        other[0] = 2;

        Assert.NotEqual(
            PageHash.Of(1, _page) + PageHash.Of(2, other), PageHash.Of(1, other) + PageHash.Of(2, _page));
    }

    [Fact]
    public void Every_bit_of_a_page_counts()
    {
        for (int bit = 0; bit < 4096 * 8; bit++)
        {
            _page[bit / 8] ^= (byte)(1 << (bit % 8));

            Assert.NotEqual(0ul, PageHash.Of(5, _page));

            _page[bit / 8] = 0;
        }
    }
}
