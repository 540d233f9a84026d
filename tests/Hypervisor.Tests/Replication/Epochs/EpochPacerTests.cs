using Hypervisor.Replication.Epochs;
using Xunit;

namespace Hypervisor.Tests.Replication.Epochs;

public sealed class EpochPacerTests
{
    private const long Milli = 1_000_000;
    private const long NoOutput = long.MaxValue;
    private const long Mebi = 1 << 20;
    private const int BusyPages = 1000;

    private long _now = 1000 * Milli;

    [Fact]
    public void Busy_guest_is_cut_on_the_usual_length()
    {
        EpochPacer pacer = New();

        Run(pacer, 5, 50 * Milli);

        Assert.Equal((50 * Milli, CutReason.Grid), Due(pacer));
    }

    [Fact]
    public void Idle_epochs_double_up_to_the_longest_and_work_ends_that()
    {
        EpochPacer pacer = New();

        Run(pacer, 1, 50 * Milli, pages: 64);
        Assert.Equal((100 * Milli, CutReason.Idle), Due(pacer));
        Run(pacer, 3, 100 * Milli, pages: 0);
        Assert.Equal((200 * Milli, CutReason.Idle), Due(pacer));
        Run(pacer, 1, 200 * Milli, pages: 65);

        Assert.Equal((50 * Milli, CutReason.Grid), Due(pacer));
    }

    [Fact]
    public void Epoch_that_held_output_is_not_idle()
    {
        EpochPacer pacer = New();

        Run(pacer, 3, 50 * Milli, pages: 0, hadOutput: true);

        Assert.Equal((50 * Milli, CutReason.Grid), Due(pacer));
    }

    [Fact]
    public void Output_is_cut_so_long_after_its_first_byte_also_in_an_idle_epoch()
    {
        EpochPacer pacer = New();
        Run(pacer, 3, 50 * Milli, pages: 0);

        Assert.Equal((35 * Milli, CutReason.OutputWaiting), Due(pacer, outputAfter: 30 * Milli));
        Assert.Equal((200 * Milli, CutReason.Idle), Due(pacer, outputAfter: 198 * Milli));
    }

    [Fact]
    public void Output_that_waits_since_before_the_epoch_leaves_the_guest_the_shortest_epoch()
        => Assert.Equal((Milli, CutReason.OutputWaiting), Due(New(), outputAfter: -20 * Milli));

    [Fact]
    public void Byte_rate_of_the_worst_recent_epoch_bounds_the_next_ones()
    {
        EpochPacer pacer = New(maxStagingBytes: 10 * Mebi);

        Run(pacer, 1, 50 * Milli, bytes: 20 * Mebi); // 0.4 MiB a millisecond: 7.5 MiB are staged after 18.75 ms
        Assert.Equal((18_750_000, CutReason.StagingBudget), Due(pacer));
        Run(pacer, 3, 50 * Milli, bytes: Mebi);
        Assert.Equal((18_750_000, CutReason.StagingBudget), Due(pacer));
        Run(pacer, 1, 50 * Milli, bytes: Mebi);

        Assert.Equal((50 * Milli, CutReason.Grid), Due(pacer));
    }

    [Theory]
    [InlineData(0, 16)]
    [InlineData(64, 16)] // more than the core lets a standby hold
    [InlineData(8, 8)]
    public void Staging_budget_is_at_most_a_quarter_of_the_room(long maxMebi, long budgetMebi)
    {
        EpochPacer pacer = New(maxStagingBytes: maxMebi * Mebi);

        Assert.Equal((50 * Milli, CutReason.Grid), Due(pacer, openBytes: (budgetMebi * Mebi) - 1));
        Assert.Equal((Milli, CutReason.StagingBudget), Due(pacer, openBytes: budgetMebi * Mebi));
    }

    [Fact]
    public void Pauses_over_budget_stretch_every_length_alike()
    {
        EpochPacer pacer = New();

        Run(pacer, 16, 50 * Milli, pauseNanos: 10 * Milli); // twice the budget

        Assert.Equal((100 * Milli, CutReason.PauseBudget), Due(pacer));
        Assert.Equal((40 * Milli, CutReason.PauseBudget), Due(pacer, outputAfter: 30 * Milli));
        Assert.Equal((2 * Milli, CutReason.PauseBudget), Due(pacer, outputAfter: -30 * Milli));
    }

    [Fact]
    public void One_long_pause_of_many_stretches_nothing_and_two_do_until_they_are_old()
    {
        EpochPacer pacer = New();
        Run(pacer, 126, 50 * Milli, pauseNanos: Milli);

        Run(pacer, 1, 50 * Milli, pauseNanos: 20 * Milli);
        Assert.Equal((50 * Milli, CutReason.Grid), Due(pacer));
        Run(pacer, 1, 50 * Milli, pauseNanos: 10 * Milli);
        Assert.Equal((100 * Milli, CutReason.PauseBudget), Due(pacer));
        Run(pacer, 127, 50 * Milli, pauseNanos: Milli);

        Assert.Equal((50 * Milli, CutReason.Grid), Due(pacer));
    }

    [Fact]
    public void Few_pauses_say_nothing_yet()
    {
        EpochPacer pacer = New();

        Run(pacer, 15, 50 * Milli, pauseNanos: 100 * Milli);

        Assert.Equal((50 * Milli, CutReason.Grid), Due(pacer));
    }

    [Fact]
    public void Copy_takes_at_most_half_of_an_epoch()
    {
        EpochPacer pacer = New();

        Run(pacer, 1, 50 * Milli, copyNanos: 30 * Milli);
        Assert.Equal((60 * Milli, CutReason.CopyBudget), Due(pacer));
        Run(pacer, 1, 50 * Milli, copyNanos: 25 * Milli);

        Assert.Equal((50 * Milli, CutReason.Grid), Due(pacer));
    }

    [Fact]
    public void Memory_goes_before_pauses_and_nothing_leaves_the_bounds()
    {
        EpochPacer pacer = New(maxStagingBytes: Mebi);
        Run(pacer, 16, 50 * Milli, pauseNanos: 1000 * Milli);
        Assert.Equal((200 * Milli, CutReason.PauseBudget), Due(pacer));

        Run(pacer, 1, 50 * Milli, bytes: 10 * Mebi, pauseNanos: 1000 * Milli);
        Assert.Equal((3_750_000, CutReason.StagingBudget), Due(pacer));
        Run(pacer, 1, 1, bytes: 1000 * Mebi, pauseNanos: 1000 * Milli);

        Assert.Equal((Milli, CutReason.StagingBudget), Due(pacer));
    }

    [Fact]
    public void New_life_of_the_pair_begins_with_the_usual_length()
    {
        EpochPacer pacer = New();
        Run(pacer, 3, 50 * Milli, bytes: 100 * Mebi);

        pacer.Restart(64 * Mebi, _now);

        Assert.Equal((50 * Milli, CutReason.Grid), Due(pacer));
    }

    private EpochPacer New(long maxStagingBytes = 0)
    {
        var pacer = new EpochPacer(new PaceOptions { MaxStagingBytes = maxStagingBytes }, 50 * Milli);
        pacer.Restart(64 * Mebi, _now);
        return pacer;
    }

    private void Run(
        EpochPacer pacer,
        int count,
        long lengthNanos,
        long bytes = 100,
        int pages = BusyPages,
        bool hadOutput = false,
        long pauseNanos = Milli,
        long copyNanos = 0)
    {
        for (int i = 0; i < count; i++)
        {
            _now += lengthNanos;
            pacer.OnCut(hadOutput, _now);
            pacer.OnCaptured(bytes, new EpochCost(pauseNanos, copyNanos, pages));
        }
    }

    /// <summary>When the open epoch is due, counted from its start, and why.</summary>
    private (long Nanos, CutReason Reason) Due(EpochPacer pacer, long outputAfter = NoOutput, long openBytes = 0)
    {
        long output = outputAfter == NoOutput ? NoOutput : _now + outputAfter;
        (long due, CutReason reason) = pacer.Due(output, openBytes);
        return (due - _now, reason);
    }
}
