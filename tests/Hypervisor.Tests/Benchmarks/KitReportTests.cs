using System;
using Hypervisor.Benchmarks.Kit;
using Xunit;

namespace Hypervisor.Tests.Benchmarks;

public sealed class KitReportTests
{
    private static readonly KitSelection s_two =
        KitSelection.Parse("sort,fib", ["int sort n=1", "code fib n=1"]);

    [Fact]
    public void A_row_has_medians_and_ratios()
    {
        string text = Write(
            KitRuns.Run("native", [KitRuns.Row("sort", 0.1), KitRuns.Row("fib", 0.1)]),
            KitRuns.Run("pc", [KitRuns.Row("sort", 0.8), KitRuns.Row("fib", 0.2)]),
            KitRuns.Run("hv", [KitRuns.Row("sort", 0.3), KitRuns.Row("fib", 0.4)]),
            KitRuns.Run("hv", [KitRuns.Row("sort", 0.5), KitRuns.Row("fib", 0.4)]));

        Assert.Contains("| sort | 0.100 | 0.800 | 0.400 | 4.000 | 2.000 |", text, StringComparison.Ordinal);
        Assert.Contains("| fib | 0.100 | 0.200 | 0.400 | 4.000 | 0.500 |", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Means_are_geometric_and_slower_benchmarks_are_named()
    {
        string text = Write(
            KitRuns.Run("native", [KitRuns.Row("sort", 0.1), KitRuns.Row("fib", 0.1)]),
            KitRuns.Run("pc", [KitRuns.Row("sort", 0.8), KitRuns.Row("fib", 0.2)]),
            KitRuns.Run("hv", [KitRuns.Row("sort", 0.1), KitRuns.Row("fib", 0.4)]));

        Assert.Contains("| TCG pc | 4.00 | 4.00 | 2 | 1 |", text, StringComparison.Ordinal);
        Assert.Contains("| hv | 2.00 | 2.00 | 2 | 1 |", text, StringComparison.Ordinal);
        Assert.Contains("hv is 2.00 times as fast as TCG over 2 benchmarks", text, StringComparison.Ordinal);
        Assert.Contains("Slower than TCG (times): fib 2.0.", text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_checksum_that_differs_from_natives_is_an_error_and_no_time()
    {
        string text = Write(
            KitRuns.Run("native", [KitRuns.Row("sort", 0.1), KitRuns.Row("fib", 0.1)]),
            KitRuns.Run("hv", [KitRuns.Row("sort", 0.2, "bb"), KitRuns.Row("fib", 0.4)]));

        Assert.Contains("- hv sort: checksum bb, native's is aa", text, StringComparison.Ordinal);
        Assert.Contains("| sort | 0.100 | – | ERROR | – | – |", text, StringComparison.Ordinal);
        Assert.Contains("| hv | 4.00 | 4.00 | 1 | 1 |", text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_benchmark_that_hangs_is_an_error_with_the_consoles_tail()
    {
        string text = Write(
            KitRuns.Run("native", [KitRuns.Row("sort", 0.1), KitRuns.Row("fib", 0.1)]),
            KitRuns.Run("hv", [KitRuns.Row("sort", 0.2)], isDone: false) with { Unfinished = ["fib"] });

        Assert.Contains("- hv fib: did not end (stalled in x)", text, StringComparison.Ordinal);
        Assert.Contains("```text\nlast line\n```", text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_benchmark_that_fails_or_leaves_nothing_is_an_error()
    {
        var report = new KitReport(
            [KitRuns.Run("hv", [KitRuns.Row("sort", 0.2)]) with { Complaints = ["sort rc=1"] }], s_two);

        Assert.Equal(
            [new KitFault("hv", "sort", "failed (sort rc=1)"), new KitFault("hv", "fib", "no result")], report.Faults);
    }

    [Fact]
    public void A_guest_that_never_booted_is_an_error()
    {
        var report = new KitReport(
            [KitRuns.Run("hv-boot", [], isDone: false) with { BootSeconds = null }],
            KitSelection.Parse("boot", []));

        Assert.Equal([new KitFault("hv-boot", "", "never booted (stalled in x)")], report.Faults);
    }

    private static string Write(params KitRun[] runs) => new KitReport(runs, s_two).Write();
}
