using System.Collections.Generic;
using System.IO;
using System.IO.Pipes;
using System.Threading;
using Hypervisor.Backends.Console;
using Xunit;

namespace Hypervisor.Tests.Backends.Console;

public sealed class StdioStreamTests
{
    [Fact]
    public void Piped_input_reaches_the_guest_unchanged_and_its_end_is_no_event()
    {
        List<byte> taken = [];
        using var isComplete = new ManualResetEventSlim(false);
        var input = new MemoryStream("a\u0001xb"u8.ToArray());
        using var stream = new StdioStream(input, new MemoryStream(), null, _ => Assert.Fail());
        stream.OnInput = bytes =>
        {
            taken.Add(bytes.Span[0]);
            if (taken.Count == 4)
            {
                isComplete.Set();
            }

            return 1;
        };

        stream.Start();
        isComplete.Wait(TestContext.Current.CancellationToken);

        Assert.Equal("a\u0001xb"u8.ToArray(), taken);
    }

    [Fact]
    public void Output_is_complete_after_dispose()
    {
        var output = new MemoryStream();
        using (var stream = new StdioStream(new MemoryStream(), output, null, _ => { }))
        {
            stream.Write("bye"u8);
        }

        Assert.Equal("bye"u8.ToArray(), output.ToArray());
    }

    [Fact]
    public void Reader_that_went_away_does_not_harm_the_guest()
    {
        using var reader = new AnonymousPipeServerStream(PipeDirection.In);
        var writer = new AnonymousPipeClientStream(PipeDirection.Out, reader.ClientSafePipeHandle);
        reader.Dispose();
        using var stream = new StdioStream(new MemoryStream(), writer, null, _ => { });

        stream.Write(new byte[100]);
        stream.Write(new byte[100]);
    }

    [Fact]
    public void File_takes_the_output_and_starts_empty()
    {
        string path = Path.GetTempFileName();
        File.WriteAllText(path, "something old and long");
        using (var file = new FileSinkStream(path))
        {
            file.Write("one "u8);
            file.Write("two"u8);
        }

        string text = File.ReadAllText(path);
        File.Delete(path);
        Assert.Equal("one two", text);
    }
}
