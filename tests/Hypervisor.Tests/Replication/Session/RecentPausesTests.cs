using System.Linq;
using Hypervisor.Replication.Session;
using Xunit;

namespace Hypervisor.Tests.Replication.Session;

public sealed class RecentPausesTests
{
    private const long Second = 1_000_000_000;

    private readonly RecentPauses _pauses = new();

    [Fact]
    public void Longest_of_each_second_is_kept()
    {
        _pauses.Add(5 * Second, 10);
        _pauses.Add((5 * Second) + 1, 30);
        _pauses.Add((6 * Second) - 1, 20);
        _pauses.Add(6 * Second, 7);

        Assert.Equal([0, 30, 7], _pauses.Snapshot(6 * Second)[^3..]);
    }

    [Fact]
    public void Seconds_without_a_pause_are_0()
    {
        _pauses.Add(5 * Second, 10);
        _pauses.Add(8 * Second, 20);

        Assert.Equal([10, 0, 0, 20, 0], _pauses.Snapshot(9 * Second)[^5..]);
    }

    [Theory]
    [InlineData(59, 10)]
    [InlineData(60, 0)]
    [InlineData(61, 0)]
    [InlineData(1000, 0)]
    public void Second_is_forgotten_after_a_minute(int laterSeconds, long expected)
    {
        _pauses.Add(5 * Second, 10);

        Assert.Equal(expected, _pauses.Snapshot((5 + laterSeconds) * Second).Sum());
    }

    [Fact]
    public void Late_pause_counts_in_the_newest_second()
    {
        _ = _pauses.Snapshot(9 * Second);
        _pauses.Add(8 * Second, 10);

        Assert.Equal(10, _pauses.Snapshot(9 * Second)[^1]);
    }
}
