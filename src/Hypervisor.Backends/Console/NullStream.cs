using System;

namespace Hypervisor.Backends.Console;

/// <summary>A serial line with nothing at the other end.</summary>
public sealed class NullStream : IByteStream
{
    /// <inheritdoc/>
    public Func<ReadOnlyMemory<byte>, int>? OnInput { get; set; }

    /// <inheritdoc/>
    public void Start()
    {
    }

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> bytes)
    {
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
