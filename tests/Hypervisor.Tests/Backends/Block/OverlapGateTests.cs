using System.Collections.Generic;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Block.Images;
using Xunit;

namespace Hypervisor.Tests.Backends.Block;

public sealed class OverlapGateTests
{
    private readonly OverlapGate _gate = new(granuleBytes: 1);

    [Fact]
    public void Requests_that_do_not_overlap_are_ready_together()
    {
        Assert.True(Add(BlockOperation.Write, 0, 512));
        Assert.True(Add(BlockOperation.Write, 512, 512));
        Assert.True(Add(BlockOperation.Read, 1024, 512));
    }

    [Theory]
    [InlineData(BlockOperation.Write, BlockOperation.Write, false)]
    [InlineData(BlockOperation.Write, BlockOperation.Read, false)]
    [InlineData(BlockOperation.Read, BlockOperation.Write, false)]
    [InlineData(BlockOperation.Discard, BlockOperation.Read, false)]
    [InlineData(BlockOperation.WriteZeroes, BlockOperation.Write, false)]
    [InlineData(BlockOperation.Read, BlockOperation.Read, true)]
    [InlineData(BlockOperation.Write, BlockOperation.Flush, true)]
    [InlineData(BlockOperation.Flush, BlockOperation.Write, true)]
    public void Second_of_two_overlapping_requests_waits_if_one_of_them_changes_bytes(
        BlockOperation first, BlockOperation second, bool isReady)
    {
        Add(first, 0, 1024);

        Assert.Equal(isReady, Add(second, 512, 1024));
    }

    [Fact]
    public void Chain_of_overlapping_writes_runs_one_after_the_other()
    {
        Add(BlockOperation.Write, 0, 1024);
        Add(BlockOperation.Write, 512, 1024);
        Add(BlockOperation.Write, 0, 2048);

        Assert.Equal([0L], TakeAll(out List<OverlapGate.Entry> first));
        Assert.Equal(1, _gate.Remove(first[0]));
        Assert.Equal([512L], TakeAll(out List<OverlapGate.Entry> second));
        Assert.Equal(1, _gate.Remove(second[0]));
        Assert.Equal([0L], TakeAll(out List<OverlapGate.Entry> third));
        Assert.Equal(0, _gate.Remove(third[0]));
        Assert.Equal(0, _gate.Count);
    }

    [Fact]
    public void Request_that_waits_for_two_is_ready_after_both()
    {
        Add(BlockOperation.Write, 0, 512);
        Add(BlockOperation.Write, 512, 512);
        Add(BlockOperation.Write, 0, 1024);
        TakeAll(out List<OverlapGate.Entry> taken);

        Assert.Equal(0, _gate.Remove(taken[1]));
        Assert.Equal(1, _gate.Remove(taken[0]));
    }

    [Fact]
    public void Ranges_that_share_a_granule_overlap()
    {
        OverlapGate gate = new(granuleBytes: 4096);
        gate.Add(Request(BlockOperation.Write, 0, 512));

        Assert.False(gate.Add(Request(BlockOperation.Write, 3584, 512)));
        Assert.True(gate.Add(Request(BlockOperation.Write, 4096, 512)));
    }

    private static BlockRequest Request(BlockOperation operation, long offset, long length)
        => new(_ => { }) { Operation = operation, OffsetBytes = offset, LengthBytes = length };

    private bool Add(BlockOperation operation, long offset, long length)
        => _gate.Add(Request(operation, offset, length));

    private List<long> TakeAll(out List<OverlapGate.Entry> entries)
    {
        entries = [];
        List<long> offsets = [];
        while (_gate.TryTake(out OverlapGate.Entry? entry))
        {
            entries.Add(entry);
            offsets.Add(entry.Request!.OffsetBytes);
        }

        return offsets;
    }
}
