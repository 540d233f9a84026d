using System;
using System.Collections.Generic;
using Hypervisor.Benchmarks.Protection;
using Xunit;

namespace Hypervisor.Tests.Benchmarks;

public sealed class ProtectionRunTests
{
    private static readonly List<(string Text, double Millis)> s_good =
    [
        ("hv: Alone: no standby yet", 200),
        ("hv: Copying", 300),
        ("hv: Syncing", 1500),
        ("hv: Protected", 1800),
        ("hv: epoch 1 · pause 0.85 ms · dirty 1649 pages · sent 50.0 MiB · lag 0.0 ms · Protected", 1900),
        ("hv: epoch 10 · pause 0.20 ms · dirty 600 pages · sent 100.0 MiB · lag 0.0 ms · Protected", 3000),
        ("hv: epoch 49 · pause 0.20 ms · dirty 600 pages · sent 139.0 MiB · lag 0.0 ms · Protected", 5000),
        ("hv: epoch 90 · pause 0.20 ms · dirty 600 pages · sent 190.0 MiB · lag 0.0 ms · Protected", 9000),
        ("hv: Ending: the guest powered off", 9100),
        ("hv: Ended: the guest powered off", 9200),
        ("hv: ended: the guest powered off", 9200),
        ("hv: pauses of 90 epochs, 805 dirty pages each: p50 0.15 · p99 6.55 · max 8.01 ms (p99: stop 6.29)", 9200),
    ];

    [Fact]
    public void Epochs_and_bytes_are_those_of_the_benchmark()
    {
        ProtectionRun run = New().Read(s_good, startMillis: 2500, endMillis: 6000);

        Assert.Null(run.Fault);
        Assert.Equal(19.5, run.EpochsPerSecond);
        Assert.Equal(1 << 20, run.BytesPerEpoch);
        Assert.Equal((0.15, 6.55, 8.01), run.Pause);
        Assert.Equal(1.5, run.CopySeconds);
    }

    [Theory]
    [InlineData("hv: Deciding: link lost")]
    [InlineData("hv: Alone: no progress for 2000000000 ns while Protected")]
    [InlineData("hv: Protected")]
    public void Run_in_which_protection_ended_early_is_told_apart(string state)
    {
        List<(string Text, double Millis)> lines = [.. s_good];
        lines.Insert(6, (state, 4000));

        Assert.StartsWith(
            "protection ended early: Protected, ", New().Read(lines, 2500, 6000).Fault, StringComparison.Ordinal);
    }

    [Fact]
    public void Run_that_was_never_protected_is_told_apart()
        => Assert.Equal("the pair was never protected", ProtectionRun.FindFault(["hv: Alone: no standby yet"]));

    [Fact]
    public void Report_leaves_out_what_went_wrong_and_says_so()
    {
        var report = new ProtectionReport(
        [
            new ProtectionRun(null, 10, 8, 0), new ProtectionRun("50ms", 11, 9, 0),
            ProtectionRun.Broken("50ms", "lost"),
        ]);

        string text = report.Write();

        Assert.Equal(["protected, epochs of 50ms: lost"], report.Faults);
        Assert.Contains(
            "| protected, epochs of 50ms | 11.0 | 11.0 | 10.0 % | 10.0 % | 12.5 % | 0.000 | 1 |", text,
            StringComparison.Ordinal);
        Assert.Contains("- ERROR protected, epochs of 50ms: lost", text, StringComparison.Ordinal);
        Assert.DoesNotContain("ended in step", text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--epoch", "50")]
    [InlineData("--rounds", "0")]
    [InlineData("--benchmark", "make")]
    [InlineData("--speed", "1")]
    public void Wrong_words_are_refused(string name, string value)
        => Assert.Throws<FormatException>(() => ProtectionOptions.Parse([name, value]));

    [Fact]
    public void Epochs_may_be_several()
        => Assert.Equal(["50ms", "1s"], ProtectionOptions.Parse(["--epoch", "50ms,1s"]).Epochs);

    private static ProtectionRun New() => new("50ms", 3.5, 3, 0);
}
