using System;
using System.IO;
using System.Linq;
using Hypervisor.Benchmarks.Mutants;
using Xunit;

namespace Hypervisor.Tests.Benchmarks;

public sealed class MutantTests
{
    private const int RuleCount = 44;

    [Fact]
    public void Every_mutant_fits_the_source_and_every_rule_has_one()
    {
        string root = TidyTests.Tree;
        Mutant[] mutants = [.. Mutant.Parse(File.ReadAllText(Path.Combine(root, MutantsProgram.List)))];

        Assert.All(mutants, mutant =>
        {
            string? broken = mutant.Apply(File.ReadAllText(Path.Combine(root, mutant.File)));
            Assert.True(broken is not null, $"'{mutant.Title}': its place is not in {mutant.File}, or is there twice");
        });
        Assert.Equal(
            Enumerable.Range(1, RuleCount).Select(rule => $"{rule}"),
            mutants.Select(mutant => mutant.Key).Where(key => char.IsAsciiDigit(key[0])).Distinct());
    }

    [Fact]
    public void Mutant_takes_the_place_of_text_that_is_there_once()
    {
        Mutant mutant = Assert.Single(Mutant.Parse("# head\n\n7 title\nfile.cs\n- a\n-   b\n+ c\n"));

        Assert.Equal("7|title|file.cs|*.Rule_07_*", string.Join(
            '|', mutant.Key, mutant.Title, mutant.File, Assert.Single(mutant.Tests)));
        Assert.Equal("0 c 1", mutant.Apply("0 a\n  b 1"));
        Assert.Null(mutant.Apply("a"));
        Assert.Null(mutant.Apply("a\n  ba\n  b"));
    }

    [Fact]
    public void Row_of_a_mutant_is_replaced_and_those_of_others_stay()
    {
        Mutant[] all = [.. Mutant.Parse("1 one\nf\n- a\n\n2 two\nf\n- b\n\n3 three\nf\n- c")];
        string[] page = ["| 2 | two | old |", "| 3 | three | kept |", "| 4 | gone | x |"];

        string[] rows = [.. MutantsProgram.Section(all, page, all[1], "| 2 | two | new |").Split('\n')
            .Where(line => line.StartsWith("| ", StringComparison.Ordinal)).Skip(1)];

        Assert.Equal(["| 1 | one | not run | |", "| 2 | two | new |", "| 3 | three | kept |"], rows);
    }

    [Theory]
    [InlineData("7 title")]
    [InlineData("7\nfile.cs\n- a")]
    [InlineData("7 title\nfile.cs\n-a")]
    [InlineData("7 title\nfile.cs\n* a")]
    [InlineData("word title\nfile.cs\n- a")]
    public void What_is_no_mutant_is_refused(string text)
        => Assert.Throws<FormatException>(() => Mutant.Parse(text));
}
