using System;

namespace Hypervisor.Backends.Console;

/// <summary>Passes a serial line through and shows its output to a listener on the way.</summary>
/// <param name="inner">The line itself; disposed of with this stream.</param>
/// <param name="onOutput">
/// Sees every byte before the line does, on the writing thread, which may hold the bus lock.
/// </param>
public sealed class CaptureStream(IByteStream inner, CaptureStream.OutputListener onOutput) : IByteStream
{
    /// <summary>Sees output; must be quick.</summary>
    public delegate void OutputListener(ReadOnlySpan<byte> bytes);

    /// <inheritdoc/>
    public Func<ReadOnlyMemory<byte>, int>? OnInput
    {
        get => inner.OnInput;
        set => inner.OnInput = value;
    }

    /// <inheritdoc/>
    public void Start() => inner.Start();

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> bytes)
    {
        onOutput(bytes);
        inner.Write(bytes);
    }

    /// <inheritdoc/>
    public void Dispose() => inner.Dispose();
}
