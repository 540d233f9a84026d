using Hypervisor.Replication.Session;
using Hypervisor.Sessions;
using Xunit;

namespace Hypervisor.Tests.Program;

public sealed class PauseTextTests
{
    [Fact]
    public void Line_names_the_percentiles_and_which_part_they_come_from() => Assert.Equal(
        "pauses of 4 epochs, 2000 dirty pages each: p50 0.31 · p99 2.50 · max 7.00 ms "
        + "(p99: stop 0.01, capture 0.02, rearm 0.03, resume 0.04)",
        PauseText.Describe(new PrimaryStatistics
        {
            Pause = new PauseSummary(4, 310_000, 2_500_000, 7_000_000),
            StopPart = new PauseSummary(4, 0, 10_000, 0),
            CapturePart = new PauseSummary(4, 0, 20_000, 0),
            RearmPart = new PauseSummary(4, 0, 30_000, 0),
            ResumePart = new PauseSummary(4, 0, 40_000, 0),
            Epochs = 4,
            DirtyPages = 8000,
        }));

    [Fact]
    public void Phases_are_named_and_one_that_never_happened_has_no_numbers() => Assert.Equal(
        "phases of an epoch, p50/p99/max ms: stop 0.01/0.02/0.03 · apply -",
        PauseText.DescribePhases(new PrimaryStatistics
        {
            Phases = [new("stop", new PauseSummary(4, 10_000, 20_000, 30_000)), new("apply", default)],
        }));
}
