using System;
using Hypervisor.Benchmarks.Kit;
using Xunit;

namespace Hypervisor.Tests.Benchmarks;

public sealed class KitOptionsTests
{
    [Fact]
    public void Without_words_everything_runs_three_times()
    {
        var options = KitOptions.Parse([]);

        Assert.True(options is { What: "all", Rounds: 3, Engine: null, IsWhole: true });
    }

    [Theory]
    [InlineData("-k", "quick")]
    [InlineData("--targets", "native,hv")]
    [InlineData("--scale", "0.1")]
    [InlineData("--rounds", "0")]
    public void Part_of_it_is_not_published(string name, string value)
        => Assert.False(KitOptions.Parse([name, value]).IsWhole);

    [Theory]
    [InlineData("--rounds", "-1")]
    [InlineData("--rounds", "many")]
    [InlineData("--targets", "native,xen")]
    [InlineData("--scale", "0")]
    [InlineData("--turbo", "on")]
    public void Wrong_words_are_refused(string name, string value)
        => Assert.Throws<FormatException>(() => KitOptions.Parse([name, value]));

    [Fact]
    public void A_missing_value_is_refused()
        => Assert.Throws<FormatException>(() => KitOptions.Parse(["--engine"]));
}
