using Hypervisor.Backends;
using Xunit;

namespace Hypervisor.Tests.Backends;

public sealed class EpochMarksTests
{
    private readonly EpochMarks _marks = new();

    [Fact]
    public void Rule_03_epochs_are_released_in_order_up_to_the_one_that_is_named()
    {
        _marks.Begin(4, 10);
        _marks.Begin(5, 15);
        _marks.Begin(6, 20);
        _marks.Begin(7, 35);

        Assert.False(_marks.TryRelease(3, out _));
        Assert.True(_marks.TryRelease(5, out long end));
        Assert.Equal(20, end);
        Assert.False(_marks.TryRelease(5, out _));
        Assert.True(_marks.TryRelease(7, out end)); // the open one has no end: it stays
        Assert.Equal(35, end);
    }

    [Fact]
    public void Closed_epoch_is_found_where_it_lies()
    {
        _marks.Begin(4, 10);
        _marks.Begin(5, 20);
        _marks.Begin(6, 32);
        long start = 10, other = 10;

        Assert.True(_marks.TryFind(5, ref start, out long end));
        Assert.False(_marks.TryFind(6, ref other, out _)); // open

        Assert.Equal((20, 32), (start, end));
        Assert.Equal(32, other);
    }

    [Fact]
    public void First_output_is_told_once_in_each_epoch()
    {
        _marks.Begin(4, 0);

        Assert.True(_marks.Hold(out ulong epoch));
        Assert.Equal(4u, epoch);
        Assert.False(_marks.Hold(out _));
        _marks.Begin(5, 2);
        Assert.True(_marks.Hold(out epoch));
        Assert.Equal(5u, epoch);
    }

    [Fact]
    public void Rule_03_who_drops_does_not_hold_again_with_the_next_epoch()
    {
        Assert.Equal(OutboxMode.Passing, _marks.Mode);
        _marks.Begin(1, 0);
        Assert.Equal(OutboxMode.Holding, _marks.Mode);
        _marks.Begin(2, 9);

        _marks.End(OutboxMode.Dropping);
        _marks.Begin(3, 9);

        Assert.Equal(OutboxMode.Dropping, _marks.Mode);
        Assert.False(_marks.TryRelease(3, out _));
    }
}
