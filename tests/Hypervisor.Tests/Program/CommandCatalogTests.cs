using System;
using System.CommandLine;
using System.IO;
using Hypervisor.CommandLine;
using Xunit;

namespace Hypervisor.Tests.Program;

public sealed class CommandCatalogTests
{
    [Theory]
    [InlineData("run")]
    [InlineData("standby")]
    [InlineData("pair")]
    [InlineData("linux")]
    [InlineData("boot-test")]
    [InlineData("status")]
    [InlineData("events")]
    [InlineData("top")]
    [InlineData("stop")]
    [InlineData("takeover")]
    [InlineData("img")]
    [InlineData("img create")]
    [InlineData("img info")]
    [InlineData("help")]
    public void Help_at_every_level_ends_with_examples(string command)
    {
        string help = Run([.. command.Split(' '), "--help"]);

        Assert.Contains($"hv {command}", help, StringComparison.Ordinal);
        Assert.Contains("Examples:", help, StringComparison.Ordinal);
    }

    [Fact]
    public void Help_of_the_program_lists_every_command()
    {
        string help = Run(["--help"]);

        Assert.All(CommandCatalog.Names, name => Assert.Contains($"  {name} ", help, StringComparison.Ordinal));
    }

    [Fact]
    public void Help_command_is_the_same_page()
        => Assert.Equal(Run(["img", "create", "--help"]), Run(["help", "img", "create"]));

    [Fact]
    public void New_image_has_its_size_and_is_described()
    {
        string path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());

        _ = Run(["img", "create", path, "3M"]);
        string info = Run(["img", "info", path]);
        File.Delete(path);

        Assert.Contains("size: 3M (3145728 bytes)", info, StringComparison.Ordinal);
    }

    private static string Run(string[] words)
    {
        using var output = new StringWriter();
        int code = CommandCatalog.Run(words, new InvocationConfiguration { Output = output });
        Assert.Equal(0, code);
        return output.ToString();
    }
}
