using System;

namespace Hypervisor.Backends.Console;

/// <summary>The host's end of a serial line: terminal, file, socket, or a filter such as the epoch's outbox.</summary>
public interface IByteStream : IDisposable
{
    /// <summary>
    /// Where bytes from outside go: called on the stream's own thread. Set once, before <see cref="Start"/>. The
    /// receiver
    /// takes the bus lock itself and says how many bytes it took; the stream offers the rest again later.
    /// </summary>
    Func<ReadOnlyMemory<byte>, int>? OnInput { get; set; }

    /// <summary>Begins to deliver input.</summary>
    void Start();

    /// <summary>Sends bytes out, in order. Must not block for long; a sink that is gone drops them.</summary>
    void Write(ReadOnlySpan<byte> bytes);
}
