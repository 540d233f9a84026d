using System;
using System.Collections.Generic;
using System.Threading;

namespace Hypervisor.Replication.Session;

/// <summary>What other threads have for one thread, in order. Posting never blocks.</summary>
/// <remarks>Who posts bulk is bounded before it posts: by a chunk pool, or by the link's credit.</remarks>
internal sealed class Inbox<T> : IDisposable
    where T : struct
{
    private readonly Lock _lock = new(); // protects the two fields below; held for a few instructions
    private readonly Queue<T> _queue = new();
    private bool _isOwnerWaiting;

    // Not a SemaphoreSlim: that yields the processor dozens of times before it sleeps, which costs a busy host more
    // than the wake-up that it may save.
    private readonly AutoResetEvent _wake = new(false);

    /// <summary>Adds an item. Any thread.</summary>
    public void Post(in T item)
    {
        bool wakes;
        lock (_lock)
        {
            _queue.Enqueue(item);
            wakes = _isOwnerWaiting;
            _isOwnerWaiting = false;
        }

        if (wakes)
        {
            _ = _wake.Set();
        }
    }

    /// <summary>
    /// Takes the next item, waiting for it at most so long; -1 waits for ever. The owner's thread only.
    /// </summary>
    public bool TryTake(int timeoutMillis, out T item)
    {
        lock (_lock)
        {
            if (_queue.TryDequeue(out item))
            {
                return true;
            }

            _isOwnerWaiting = true;
        }

        _ = _wake.WaitOne(timeoutMillis);
        lock (_lock)
        {
            _isOwnerWaiting = false;
            return _queue.TryDequeue(out item);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _wake.Dispose();
}
