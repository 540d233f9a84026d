using System;
using System.Text;
using System.Threading;
using Hypervisor.Backends.Console;

namespace Hypervisor.TestKit;

/// <summary>Collects what a console lets out.</summary>
public sealed class ToyConsole : IByteStream
{
    private readonly Lock _lock = new(); // protects _text
    private readonly StringBuilder _text = new();

    public Func<ReadOnlyMemory<byte>, int>? OnInput { get; set; }

    /// <summary>Everything so far.</summary>
    public string Text
    {
        get
        {
            lock (_lock)
            {
                return _text.ToString();
            }
        }
    }

    public void Start()
    {
    }

    public void Write(ReadOnlySpan<byte> bytes)
    {
        lock (_lock)
        {
            _text.Append(Encoding.ASCII.GetString(bytes));
        }
    }

    public void Dispose()
    {
    }
}
