using Hypervisor.Replication.Session;
using Xunit;

namespace Hypervisor.Tests.Replication.Session;

public sealed class PauseTimesTests
{
    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 0)]
    [InlineData(2, 1)]
    [InlineData(15, 3)]
    [InlineData(16, 4)]
    [InlineData(1023, 9)]
    [InlineData(1024, 10)]
    [InlineData(1_000_000, 19)]
    [InlineData(long.MaxValue, 62)]
    public void Duration_counts_where_its_power_of_two_is(long nanos, int log)
    {
        var times = new PauseTimes();
        times.Add(nanos);

        long[] counts = times.CountByLog2();

        Assert.Equal(1, counts[log]);
        counts[log] = 0;
        Assert.All(counts, count => Assert.Equal(0, count));
    }

    [Fact]
    public void Durations_are_summed_up()
    {
        var times = new PauseTimes();
        times.Add(30);
        times.Add(12);

        Assert.Equal((2, 42), (times.Summarize().Count, times.Summarize().TotalNanos));
    }
}
