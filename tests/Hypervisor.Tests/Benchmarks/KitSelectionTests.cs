using System;
using System.Linq;
using Hypervisor.Benchmarks.Kit;
using Xunit;

namespace Hypervisor.Tests.Benchmarks;

public sealed class KitSelectionTests
{
    private static readonly string[] s_listing =
        ["int    sha256         n=1100       hashing", "sys    fork           n=1500", "blk    blk_rr_q1 n=1", ""];

    [Fact]
    public void All_is_every_group_with_boots_and_pairs()
    {
        var all = KitSelection.Parse("all", s_listing);

        Assert.True(all is { Boots: true, Pairs: true, Scale: 1 });
        Assert.Equal(["sha256", "fork", "blk_rr_q1", "one:shloop"], all.Items.Take(4).Select(item => item.Word));
        Assert.Equal("fio", all.Items[^1].Word);
    }

    [Fact]
    public void Quick_is_a_tenth_of_the_work_without_disk_and_tools()
    {
        var quick = KitSelection.Parse("quick", s_listing);

        Assert.True(quick is { Boots: false, Pairs: false, Scale: 0.1 });
        Assert.Equal(["sha256", "fork"], quick.Items.Select(item => item.Word));
    }

    [Fact]
    public void Words_add_up_and_nothing_runs_twice()
    {
        var some = KitSelection.Parse("fork,sys,one:gzip,boot", s_listing);

        Assert.True(some.Boots);
        Assert.Equal(["fork", "one:gzip"], some.Items.Select(item => item.Word));
        Assert.Equal(["gzip9"], some.Items[1].Rows);
    }

    [Theory]
    [InlineData("")]
    [InlineData("sha257")]
    [InlineData("fork,one:nothing")]
    public void Unknown_words_are_refused(string words)
        => Assert.Throws<FormatException>(() => KitSelection.Parse(words, s_listing));

    [Fact]
    public void After_a_hang_the_rest_runs()
    {
        var all = KitSelection.Parse("sha256,fork,blk", s_listing);
        KitRun hung = KitRuns.Run("hv", [KitRuns.Row("sha256", 1)], isDone: false) with { Unfinished = ["fork"] };

        Assert.Equal(["blk_rr_q1"], KitSelection.After(all.Items, hung).Select(item => item.Word));
    }

    [Fact]
    public void After_a_crash_before_the_first_benchmark_that_one_is_given_up()
    {
        var all = KitSelection.Parse("sha256,fork", s_listing);
        KitRun crashed = KitRuns.Run("hv", [], isDone: false);

        Assert.Equal(["fork"], KitSelection.After(all.Items, crashed).Select(item => item.Word));
    }
}
