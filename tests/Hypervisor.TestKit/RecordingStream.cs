using System;
using System.Collections.Generic;
using System.Text;
using Hypervisor.Backends.Console;

namespace Hypervisor.TestKit;

/// <summary>A byte stream that keeps what was written to it.</summary>
public sealed class RecordingStream : IByteStream
{
    /// <summary>Every write, in order.</summary>
    public List<byte[]> Writes { get; } = [];

    /// <summary>All that was written, as ASCII.</summary>
    public string Text
    {
        get
        {
            var text = new StringBuilder();
            foreach (byte[] bytes in Writes)
            {
                text.Append(Encoding.ASCII.GetString(bytes));
            }

            return text.ToString();
        }
    }

    /// <inheritdoc/>
    public Func<ReadOnlyMemory<byte>, int>? OnInput { get; set; }

    /// <inheritdoc/>
    public void Start()
    {
    }

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> bytes) => Writes.Add(bytes.ToArray());

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
