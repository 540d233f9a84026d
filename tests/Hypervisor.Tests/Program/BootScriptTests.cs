using System.Text;
using Hypervisor.CommandLine;
using Hypervisor.Core.Time;
using Hypervisor.Sessions;
using Xunit;

namespace Hypervisor.Tests.Program;

public sealed class BootScriptTests
{
    [Fact]
    public void Expects_are_met_in_order_only()
    {
        BootScript script = NewScript(Expect("one"), Expect("two"));

        Print(script, "two one");
        Assert.Equal(1, script.DoneCount);

        Print(script, " two");
        Assert.True(script.IsDone);
    }

    [Fact]
    public void Text_that_comes_in_pieces_is_found()
    {
        BootScript script = NewScript(Expect("login:"));

        foreach (char letter in "xx loglogin: ")
        {
            Print(script, letter.ToString());
        }

        Assert.True(script.IsDone);
    }

    [Fact]
    public void One_output_may_meet_several_expects_but_not_twice_the_same_bytes()
    {
        BootScript script = NewScript(Expect("aa"), Expect("aa"));

        Print(script, "aaa");

        Assert.Equal(1, script.DoneCount);
    }

    [Fact]
    public void What_is_sent_waits_for_the_expect_before_it()
    {
        BootScript script = NewScript(Expect("# "), Send("uname\r"), Expect("Linux"));
        Assert.False(script.TryTakeInput(out _));

        Print(script, "/ # ");

        Assert.True(script.TryTakeInput(out byte[] typed));
        Assert.Equal("uname\r", Encoding.UTF8.GetString(typed));
        Assert.False(script.TryTakeInput(out _));
        Assert.False(script.IsDone);
    }

    [Fact]
    public void Send_at_the_start_needs_no_output()
    {
        BootScript script = NewScript(Send("x"), Expect("y"));

        Assert.True(script.TryTakeInput(out _));
    }

    [Fact]
    public void Last_lines_are_the_last_ones()
    {
        BootScript script = NewScript(Expect("never"));

        for (int i = 0; i < 5000; i++)
        {
            Print(script, $"line {i}\r\n");
        }

        Assert.Equal("line 4998\nline 4999", script.LastLines(2));
    }

    [Theory]
    [InlineData(@"ls", "ls\r")]
    [InlineData(@"", "\r")]
    [InlineData(@"a\n\t\\b", "a\n\t\\b\r")]
    [InlineData(@"\x03\c", "\x03")]
    [InlineData(@"\e[A\c", "\e[A")]
    public void Sent_text_has_the_escapes_of_printf(string text, string typed)
        => Assert.Equal(typed, SendText.Parse(text));

    [Theory]
    [InlineData(@"\")]
    [InlineData(@"\q")]
    [InlineData(@"\x")]
    [InlineData(@"\x4")]
    [InlineData(@"\xzz")]
    [InlineData(@"\cd")]
    public void Unknown_escape_is_refused(string text) => Assert.Throws<UsageException>(() => SendText.Parse(text));

    private static BootStep Expect(string text) => new(true, text);

    private static BootStep Send(string text) => new(false, text);

    private static BootScript NewScript(params BootStep[] steps) => new(steps, new StillClock());

    private static void Print(BootScript script, string text) => script.OnOutput(Encoding.UTF8.GetBytes(text));

    private sealed class StillClock : IHostClock
    {
        public long NowNanos => 0;
    }
}
