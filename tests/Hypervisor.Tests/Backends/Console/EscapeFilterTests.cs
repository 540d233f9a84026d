using System.Collections.Generic;
using System.Text;
using Hypervisor.Backends.Console;
using Xunit;

namespace Hypervisor.Tests.Backends.Console;

public sealed class EscapeFilterTests
{
    private readonly List<EscapeCommand> _commands = [];

    [Theory]
    [InlineData("hello", "hello")]
    [InlineData("a\x01\x01z", "a\x01z")]
    [InlineData("a\x01qz", "az")]
    [InlineData("a\x01", "a")]
    public void Guest_gets_what_is_not_for_us(string typed, string guest)
    {
        Assert.Equal(guest, Filter(new EscapeFilter(_commands.Add), typed));
        Assert.Empty(_commands);
    }

    [Fact]
    public void Keys_after_control_a_are_obeyed_also_when_they_come_later()
    {
        var filter = new EscapeFilter(_commands.Add);

        Assert.Equal("x", Filter(filter, "x\x01"));
        Assert.Equal("c", Filter(filter, "xc\x01"));
        Assert.Equal("", Filter(filter, "c\x01h"));

        Assert.Equal([EscapeCommand.Quit, EscapeCommand.Status, EscapeCommand.Help], _commands);
    }

    private static string Filter(EscapeFilter filter, string typed)
    {
        byte[] bytes = Encoding.Latin1.GetBytes(typed);
        return Encoding.Latin1.GetString(bytes, 0, filter.Filter(bytes));
    }
}
