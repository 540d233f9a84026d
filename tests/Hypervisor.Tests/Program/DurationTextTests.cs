using System;
using Hypervisor.CommandLine;
using Xunit;

namespace Hypervisor.Tests.Program;

public sealed class DurationTextTests
{
    [Theory]
    [InlineData("50ms", 50_000)]
    [InlineData("250us", 250)]
    [InlineData("5s", 5_000_000)]
    [InlineData("1.5s", 1_500_000)]
    [InlineData("2m", 120_000_000)]
    [InlineData("1h", 3_600_000_000)]
    public void Units_mean_what_they_say(string text, long micros)
        => Assert.Equal(micros * TimeSpan.TicksPerMicrosecond, Parse(text).Ticks);

    [Theory]
    [InlineData("50")]
    [InlineData("ms")]
    [InlineData("-5s")]
    [InlineData("5 s")]
    [InlineData("1e3s")]
    [InlineData("99999999999999999999999999999999s")]
    [InlineData("9999999999999999999999h")]
    public void Anything_else_is_refused(string text) => Assert.Throws<UsageException>(() => Parse(text));

    [Theory]
    [InlineData("50ms")]
    [InlineData("5s")]
    [InlineData("1500ms")]
    [InlineData("250us")]
    [InlineData("1h")]
    public void What_is_written_is_read_back(string text) => Assert.Equal(text, DurationText.Write(Parse(text)));

    private static TimeSpan Parse(string text)
        => DurationText.Parse("--time", text, TimeSpan.Zero, TimeSpan.FromHours(24));
}
