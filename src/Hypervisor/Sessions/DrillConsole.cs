using System;
using System.Collections.Generic;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading;
using Hypervisor.Backends.Console;

namespace Hypervisor.Sessions;

/// <summary>All consoles of a drill's guest: keeps the end of what they say, and looks for a pattern in it.</summary>
internal sealed class DrillConsole(Regex? until, Action onMatch) : IByteStream
{
    private const int KeptBytesMax = 16 << 10;
    private const int LinesShown = 20;

    private readonly Lock _lock = new(); // protects the field below
    private readonly List<byte> _tail = [];

    /// <inheritdoc/>
    public Func<ReadOnlyMemory<byte>, int>? OnInput { get; set; }

    /// <summary>The last lines.</summary>
    public IReadOnlyList<string> LastLines
    {
        get
        {
            string[] lines = Text().ReplaceLineEndings("\n").TrimEnd('\n').Split('\n');
            return lines[Math.Max(0, lines.Length - LinesShown)..];
        }
    }

    /// <inheritdoc/>
    public void Start()
    {
    }

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> bytes)
    {
        lock (_lock)
        {
            _tail.AddRange(bytes);
            _tail.RemoveRange(0, Math.Max(0, _tail.Count - KeptBytesMax));
        }
    }

    /// <summary>Calls back when the pattern is there.</summary>
    public void Look()
    {
        if (until is not null && until.IsMatch(Text()))
        {
            onMatch();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }

    private string Text()
    {
        lock (_lock)
        {
            return Encoding.UTF8.GetString([.. _tail]);
        }
    }
}
