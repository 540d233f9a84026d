using System;
using System.Collections.Generic;
using System.Threading;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Link;

/// <summary>Messages on their way to the writer thread of a link. Never blocks who adds.</summary>
/// <remarks>
/// Bulk messages are bounded by their chunk pools; the count bounds everything else, and a link whose peer reads so
/// little that it is reached is broken.
/// </remarks>
internal sealed class SendQueue(int countMax) : IDisposable
{
    private readonly Lock _lock = new(); // protects the fields below; held for a few instructions
    private readonly Queue<Message> _messages = new();
    private readonly AutoResetEvent _wake = new(false); // sleeps at once; see Inbox
    private bool _isClosed;
    private bool _isWriterWaiting;

    /// <summary>Adds a message. False when the queue is full or closed; the message then stays the caller's.</summary>
    public bool TryAdd(Message message)
    {
        bool wakes;
        lock (_lock)
        {
            if (_isClosed || _messages.Count >= countMax)
            {
                return false;
            }

            _messages.Enqueue(message);
            wakes = _isWriterWaiting;
            _isWriterWaiting = false;
        }

        if (wakes)
        {
            _ = _wake.Set();
        }

        return true;
    }

    /// <summary>The next message, without waiting. Null when there is none at the moment.</summary>
    public Message? TryTake()
    {
        lock (_lock)
        {
            return _messages.TryDequeue(out Message? message) ? message : null;
        }
    }

    /// <summary>Waits for a message. Null once the queue is closed and empty.</summary>
    public Message? Take()
    {
        while (true)
        {
            lock (_lock)
            {
                if (_messages.TryDequeue(out Message? message))
                {
                    return message;
                }

                if (_isClosed)
                {
                    return null;
                }

                _isWriterWaiting = true;
            }

            _ = _wake.WaitOne();
        }
    }

    /// <summary>Takes no more messages; those that are in it are still handed out.</summary>
    public void Close()
    {
        lock (_lock)
        {
            _isClosed = true;
        }

        _ = _wake.Set();
    }

    /// <summary>Closes it and releases what it holds.</summary>
    public void Discard()
    {
        Close();
        while (TryTake() is { } message)
        {
            message.Release();
        }
    }

    /// <summary>After the writer thread ended.</summary>
    public void Dispose() => _wake.Dispose();
}
