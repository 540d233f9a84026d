using System;
using System.Net.Sockets;

namespace Hypervisor.Control;

/// <summary>One request for the metrics: read, answered, closed. Never waits; for the server's thread alone.</summary>
internal sealed class MetricsConnection : IDisposable
{
    private readonly Func<string> _metrics;
    private readonly byte[] _head = new byte[HttpRequestHead.BytesMax];
    private int _headBytes;
    private ReadOnlyMemory<byte> _rest;
    private bool _hasAnswered;

    /// <summary>Serves a client; owns the socket.</summary>
    /// <param name="socket">The client.</param>
    /// <param name="metrics">Writes the page.</param>
    /// <param name="deadlineNanos">When it must be over, of the host's clock.</param>
    public MetricsConnection(Socket socket, Func<string> metrics, long deadlineNanos)
    {
        Socket = socket;
        Socket.Blocking = false;
        _metrics = metrics;
        DeadlineNanos = deadlineNanos;
    }

    /// <summary>To wait on.</summary>
    public Socket Socket { get; }

    /// <summary>When it must be over.</summary>
    public long DeadlineNanos { get; }

    /// <summary>Whether it waits until it can send, rather than receive.</summary>
    public bool IsSending => _rest.Length > 0;

    /// <summary>Whether it can be disposed.</summary>
    public bool IsOver { get; private set; }

    /// <summary>The socket is ready.</summary>
    public void OnReady()
    {
        try
        {
            if (IsSending)
            {
                Send();
            }
            else if (_hasAnswered)
            {
                // Closing with bytes unread would reset the connection and could take the answer with it.
                IsOver = Socket.Receive(_head) == 0;
            }
            else
            {
                Receive();
            }
        }
        catch (SocketException error) when (error.SocketErrorCode == SocketError.WouldBlock)
        {
            // not so ready
        }
        catch (SocketException)
        {
            IsOver = true;
        }
    }

    /// <summary>The time is over: says so if nothing was said yet, and closes.</summary>
    public void OnDeadline()
    {
        try
        {
            if (!_hasAnswered)
            {
                Answer(408);
            }
        }
        catch (SocketException)
        {
            // nobody to tell
        }

        IsOver = true;
    }

    /// <inheritdoc/>
    public void Dispose() => Socket.Dispose();

    private void Receive()
    {
        int receivedBytes = Socket.Receive(_head.AsSpan(_headBytes));
        _headBytes += receivedBytes;
        ReadOnlySpan<byte> head = _head.AsSpan(0, _headBytes);
        if (receivedBytes == 0)
        {
            IsOver = true;
        }
        else if (HttpRequestHead.IsComplete(head))
        {
            Answer(HttpRequestHead.StatusOf(head));
        }
        else if (_headBytes == _head.Length)
        {
            Answer(431);
        }
    }

    private void Answer(int status)
    {
        _hasAnswered = true;
        _rest = HttpRequestHead.Respond(status, _metrics);
        Send();
    }

    private void Send()
    {
        _rest = _rest[Socket.Send(_rest.Span)..];
        if (!IsSending)
        {
            Socket.Shutdown(SocketShutdown.Send);
        }
    }
}
