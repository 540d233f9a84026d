using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Threading;
using Hypervisor.Devices;

namespace Hypervisor.TestKit;

/// <summary>An event loop that runs posted work when a test asks for it. Posting is safe from any thread.</summary>
public sealed class FakeEventLoop : IEventLoop
{
    private readonly Queue<IPostedWork> _queue = new();
    private readonly Lock _lock = new(); // protects the queue

    /// <summary>Work that waits.</summary>
    public int PendingCount
    {
        get
        {
            lock (_lock)
            {
                return _queue.Count;
            }
        }
    }

    /// <inheritdoc/>
    public void Post(IPostedWork work)
    {
        lock (_lock)
        {
            _queue.Enqueue(work);
        }
    }

    /// <summary>Runs everything that was posted, also what is posted meanwhile. Returns how much that was.</summary>
    public int RunPosted()
    {
        int count = 0;
        while (TryTake(out IPostedWork? work))
        {
            work.RunPosted();
            count++;
        }

        return count;
    }

    private bool TryTake([NotNullWhen(true)] out IPostedWork? work)
    {
        lock (_lock)
        {
            return _queue.TryDequeue(out work);
        }
    }
}
