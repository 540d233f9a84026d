using Hypervisor.Backends.Block;
using Hypervisor.Replication.Capture;
using Xunit;

namespace Hypervisor.Tests.Replication.Capture;

public sealed class DiscardedBlocksTests
{
    private readonly DiscardedBlocks _blocks = new(diskBytes: (4 * 4096) + 512);

    [Fact]
    public void Discard_takes_in_every_block_that_it_touches()
    {
        _blocks.OnChange(BlockOperation.Discard, 4000, 200);

        Assert.True(_blocks.Contains(0) && _blocks.Contains(1));
        Assert.False(_blocks.Contains(2));
    }

    [Theory]
    [InlineData(BlockOperation.Write)]
    [InlineData(BlockOperation.WriteZeroes)]
    public void Only_what_is_written_as_a_whole_is_known_again(BlockOperation operation)
    {
        _blocks.OnChange(BlockOperation.Discard, 0, (4 * 4096) + 512);

        _blocks.OnChange(operation, 512, 2 * 4096);
        Assert.True(_blocks.Contains(0) && _blocks.Contains(2));
        Assert.False(_blocks.Contains(1));

        _blocks.OnChange(operation, 4 * 4096, 512); // to the end of the disk
        Assert.False(_blocks.Contains(4));
        Assert.True(_blocks.Contains(3));
    }
}
