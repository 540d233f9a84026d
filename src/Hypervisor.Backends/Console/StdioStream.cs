using System;
using System.IO;
using System.Threading;
using Hypervisor.Core.Host;

namespace Hypervisor.Backends.Console;

/// <summary>
/// A serial line on this process's standard input and output; a terminal becomes raw while it is open.
/// </summary>
/// <remarks>The end of piped input leaves the guest running; Ctrl-A is special on a terminal only.</remarks>
public sealed class StdioStream : IByteStream
{
    private readonly Stream _input;
    private readonly Stream _sink;
    private readonly OutputQueue _output;
    private readonly InputPump _pump = new();
    private readonly EscapeFilter? _escapes;
    private readonly HostTerminal? _terminal;

    /// <summary>Takes standard input and output.</summary>
    /// <param name="onCommand">Obeys Ctrl-A sequences, on the input thread.</param>
    public StdioStream(Action<EscapeCommand> onCommand)
        : this(
            System.Console.OpenStandardInput(),
            System.Console.OpenStandardOutput(),
            HostTerminal.TryEnterRaw(),
            onCommand)
    {
    }

    internal StdioStream(Stream input, Stream output, HostTerminal? terminal, Action<EscapeCommand> onCommand)
    {
        _input = input;
        _sink = output;
        _terminal = terminal;
        _escapes = terminal is null ? null : new EscapeFilter(onCommand);
        _output = new OutputQueue("stdout", TryStore);
    }

    /// <inheritdoc/>
    public Func<ReadOnlyMemory<byte>, int>? OnInput { get; set; }

    /// <inheritdoc/>
    public void Start() => new Thread(ReadInput) { Name = "stdin", IsBackground = true }.Start();

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> bytes) => _output.Write(bytes);

    /// <inheritdoc/>
    public void Dispose()
    {
        _pump.Stop();
        _output.Dispose();
        _terminal?.Dispose();
        _input.Dispose();
        _sink.Dispose();
    }

    private void ReadInput()
    {
        byte[] bytes = new byte[1024];
        try
        {
            int length;
            while ((length = _input.Read(bytes)) > 0)
            {
                length = _escapes?.Filter(bytes.AsSpan(0, length)) ?? length;
                _pump.Deliver(OnInput, bytes.AsMemory(0, length));
            }
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            // The terminal went away, or the line was closed under the read: no more input.
        }
    }

    private bool TryStore(ReadOnlySpan<byte> bytes)
    {
        try
        {
            _sink.Write(bytes);
            _sink.Flush();
            return true;
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            return false; // nobody reads any more: the guest goes on
        }
    }
}
