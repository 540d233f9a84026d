using System.Threading;

namespace Hypervisor.Devices;

/// <summary>Work that waits in the event loop at most once, so that a burst of reasons for it posts once.</summary>
internal abstract class PostedOnce(IEventLoop loop) : IPostedWork
{
    private int _isPosted; // 0 or 1

    /// <summary>Has it run soon: always once more after this. Any thread.</summary>
    public void Post()
    {
        // Pairs with RunPosted: what came after that reset it is posted for again.
        if (Interlocked.Exchange(ref _isPosted, 1) == 0)
        {
            loop.Post(this);
        }
    }

    /// <inheritdoc/>
    public void RunPosted()
    {
        Interlocked.Exchange(ref _isPosted, 0); // pairs with Post
        Run();
    }

    /// <summary>Does it: on the event-loop thread, with the bus lock held.</summary>
    protected abstract void Run();
}
