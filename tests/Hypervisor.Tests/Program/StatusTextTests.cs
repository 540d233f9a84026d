using System;
using System.Text;
using Hypervisor.Sessions;
using Xunit;

namespace Hypervisor.Tests.Program;

public sealed class StatusTextTests
{
    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("{\"kind\":\"epoch\"}")]
    [InlineData("{\"kind\":7}")]
    [InlineData("{\"kind\":\"unheard\",\"atNanos\":1}")]
    public void Line_that_is_none_of_ours_is_ignored(string line) => Assert.Null(StatusText.FromJson(line));

    [Fact]
    public void Every_kind_comes_back_from_json_as_it_went()
    {
        foreach (StatusKind kind in Enum.GetValues<StatusKind>())
        {
            var sent = new StatusEvent(kind, 123)
            {
                Epoch = 1,
                PauseMicros = 2,
                DirtyPages = 3,
                BytesSent = 4,
                LagMicros = 5,
                DoneBytes = 6,
                TotalBytes = 7,
                Port = 8,
                ConsoleBytes = 9,
                Message = "a \"b\"",
            };

            string line = Encoding.UTF8.GetString(StatusText.ToJson(sent).Span);

            Assert.Equal(sent, StatusText.FromJson(line));
            Assert.Equal(line.Length - 1, line.IndexOf('\n', StringComparison.Ordinal));
            Assert.NotEmpty(StatusText.Describe(sent));
        }
    }

    [Fact]
    public void Epoch_line_shows_all_that_a_user_watches() => Assert.Equal(
        "epoch 120 · pause 0.31 ms · dirty 2000 pages · sent 12.5 MiB · lag 3.2 ms · protected",
        StatusText.Describe(new StatusEvent(StatusKind.Epoch, 0)
        {
            Epoch = 120,
            PauseMicros = 310,
            DirtyPages = 2000,
            BytesSent = (12 << 20) + (1 << 19),
            LagMicros = 3200,
            Message = "protected",
        }));
}
