using System;
using System.Linq;
using Xunit;

namespace Hypervisor.Tests;

public sealed class TidyRulesTests
{
    private const string Namespace = "namespace Hypervisor.Cpu.Paging;";
    private const string Path = "src/Hypervisor.Cpu/Paging/Walk.cs";

    [Fact]
    public void Tidy_file_has_no_fault() => Assert.Null(TidyRules.FaultOfFile(Path, [Namespace, "", "class Walk;"]));

    [Fact]
    public void Long_line_is_found()
    {
        Assert.Null(TidyRules.FaultOfFile(Path, [new string('x', 120)]));
        Assert.Contains(":1 has 121 columns", Fault(Path, new string('x', 121)), StringComparison.Ordinal);
    }

    [Fact]
    public void Long_file_is_found_unless_it_is_a_table()
    {
        string[] lines = [.. Enumerable.Repeat("", 401)];

        Assert.Contains("401 lines", Fault(Path, lines), StringComparison.Ordinal);
        Assert.Null(TidyRules.FaultOfFile(Path, lines, mayBeLong: true));
    }

    [Theory]
    [InlineData("// TO" + "DO: later")]
    [InlineData("x(); // FIX" + "ME")]
    [InlineData("/* HA" + "CK */")]
    public void Marker_of_unfinished_work_is_found(string line)
        => Assert.Contains("leaves work behind", Fault(Path, line), StringComparison.Ordinal);

    [Fact]
    public void Region_is_found() => Assert.Contains("region", Fault(Path, "    #region x"), StringComparison.Ordinal);

    [Theory]
    [InlineData("DiskManager")]
    [InlineData("PageHelper")]
    [InlineData("StringUtil")]
    [InlineData("StringUtils")]
    [InlineData("Common")]
    public void Name_that_says_nothing_is_found(string name)
        => Assert.Contains("name", Fault($"src/Hypervisor.Cpu/{name}.cs", ""), StringComparison.Ordinal);

    [Theory]
    [InlineData("src/Hypervisor/Program.cs", "Hypervisor")]
    [InlineData("src/Hypervisor.Cpu/Paging/Walk.cs", "Hypervisor.Cpu.Paging")]
    [InlineData("tests/Hypervisor.Tests/Backends/Console/XTests.cs", "Hypervisor.Tests.Backends.Console")]
    [InlineData("guest/Code/X.cs", "Hypervisor.Guest.Code")]
    [InlineData("firmware/X.cs", "Hypervisor.Firmware")]
    public void Namespace_follows_the_folder(string path, string expected)
    {
        Assert.Equal(expected, TidyRules.NamespaceOf(path));
        Assert.Null(TidyRules.FaultOfFile(path, [$"namespace {expected};"]));
        Assert.Contains(expected, Fault(path, "namespace Hypervisor.Elsewhere;"), StringComparison.Ordinal);
    }

    [Fact]
    public void Links_are_found_outside_code_and_without_fragments() => Assert.Equal(
        ["src/A.md", "b.cs"],
        TidyRules.LinksOf("[a](src/A.md#part) [w](https://x.y/z) ```[c](no)``` [b](b.cs) [d](#here)"));

    private static string Fault(string path, params string[] lines) => TidyRules.FaultOfFile(path, lines) ?? "";
}
