using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Threading;
using Hypervisor.Core;

namespace Hypervisor.Replication.Link;

/// <summary>
/// A fixed number of chunks. Who wants one more than there are waits: that is how a slow peer slows the guest.
/// </summary>
/// <remarks>Any thread. Once broken it stays so, and every waiter goes on at once.</remarks>
[SuppressMessage(
    "Design", "CA1001", Justification = "Chunks come back after the pool's end; no wait handle is ever made.")]
internal sealed class ChunkPool(int countMax, int chunkBytes)
{
    private readonly Lock _lock = new(); // protects _idle and _created; held for a push or a pop
    private readonly Stack<Chunk> _idle = new(countMax);
    private readonly SemaphoreSlim _available = new(countMax);
    private int _created;
    private volatile bool _isBroken; // set by Break before it releases the waiters

    /// <summary>An empty chunk; null once the pool is broken. Waits while all chunks are on their way.</summary>
    public Chunk? Rent()
    {
        _available.Wait();
        if (_isBroken)
        {
            return null;
        }

        lock (_lock)
        {
            if (_idle.TryPop(out Chunk? chunk))
            {
                chunk.Clear();
                return chunk;
            }

            Check.That(++_created <= countMax);
        }

        return new Chunk(this, chunkBytes);
    }

    /// <summary>Lets every waiter go with nothing, now and from now on.</summary>
    public void Break()
    {
        if (!_isBroken)
        {
            _isBroken = true;
            _ = _available.Release(int.MaxValue / 2);
        }
    }

    internal void Return(Chunk chunk)
    {
        lock (_lock)
        {
            Check.That(_idle.Count < countMax);
            _idle.Push(chunk);
        }

        _ = _available.Release();
    }
}
