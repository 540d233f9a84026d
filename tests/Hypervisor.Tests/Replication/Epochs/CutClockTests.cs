using Hypervisor.Replication.Epochs;
using Xunit;

namespace Hypervisor.Tests.Replication.Epochs;

public sealed class CutClockTests
{
    private const long Milli = 1_000_000;

    [Fact]
    public void Lateness_does_not_add_up()
    {
        CutClock clock = New();
        long last = 0;

        for (int cut = 0; cut < 20; cut++)
        {
            last = clock.DueNanos(isOutputWaiting: false) + (cut % 2 == 0 ? 20 * Milli : 3 * Milli);
            clock.OnCut(last);
        }

        Assert.Equal(1003 * Milli, last); // twenty epochs of 50 ms, and what the last one was late
    }

    [Fact]
    public void Epoch_after_a_very_late_cut_is_half_as_long_at_least()
    {
        CutClock clock = New();

        clock.OnCut(490 * Milli);

        Assert.Equal(515 * Milli, clock.DueNanos(isOutputWaiting: false));
    }

    [Fact]
    public void Epoch_after_an_early_cut_is_whole()
    {
        CutClock clock = New();

        clock.OnCut(30 * Milli);

        Assert.Equal(80 * Milli, clock.DueNanos(isOutputWaiting: false));
    }

    [Fact]
    public void Output_that_waits_brings_the_cut_forward_and_never_back()
    {
        CutClock clock = New();
        Assert.Equal(10 * Milli, clock.DueNanos(isOutputWaiting: true));

        clock.OnCut(95 * Milli);

        Assert.Equal(105 * Milli, clock.DueNanos(isOutputWaiting: true));
        Assert.Equal(120 * Milli, clock.DueNanos(isOutputWaiting: false));
    }

    private static CutClock New()
    {
        var clock = new CutClock(epochNanos: 50 * Milli, outputEpochNanos: 10 * Milli);
        clock.Restart(0);
        return clock;
    }
}
