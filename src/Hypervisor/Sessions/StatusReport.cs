using System;
using System.IO;
using System.Threading;
using Hypervisor.Control;
using Microsoft.Win32.SafeHandles;

namespace Hypervisor.Sessions;

/// <summary>
/// Where a running machine sends its status: lines for people, or JSON lines to the process that started it.
/// </summary>
internal sealed class StatusReport : IDisposable
{
    private readonly FileStream? _pipe;
    private readonly Action<string>? _line;

    // Keeps lines whole; a leaf lock.
    private readonly Lock _lock = new();

    private StatusReport(FileStream? pipe, Action<string>? line)
    {
        _pipe = pipe;
        _line = line;
    }

    /// <summary>Whether whoever listened is gone; a child of `hv pair` then ends itself.</summary>
    public bool IsBroken { get; private set; }

    /// <summary>The same events, for those who look at this process.</summary>
    public EventFeed Events { get; } = new();

    /// <summary>Writes text lines.</summary>
    public static StatusReport ToText(TextWriter text) => new(null, text.WriteLine);

    /// <summary>Writes JSON lines to an inherited descriptor; null when it is not open for writing.</summary>
    public static StatusReport? TryOpen(int descriptor)
    {
        try
        {
            var handle = new SafeFileHandle(descriptor, ownsHandle: true);
            var pipe = new FileStream(handle, FileAccess.Write, bufferSize: 0);
            return new StatusReport(pipe, null);
        }
        catch (Exception error) when (error is IOException or ArgumentException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Sends one event. Any thread.</summary>
    public void Send(StatusEvent status)
    {
        lock (_lock)
        {
            Events.Publish(status);
            _line?.Invoke($"hv: {StatusText.Describe(status)}");
            try
            {
                _pipe?.Write(StatusText.ToJson(status).Span);
            }
            catch (IOException)
            {
                IsBroken = true;
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _pipe?.Dispose();
}
