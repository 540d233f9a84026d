using System;
using System.Collections.Generic;
using System.Threading;
using Hypervisor.Core;
using Hypervisor.Core.Host;
using Hypervisor.Core.Time;
using Hypervisor.Devices;

namespace Hypervisor.Machine;

/// <summary>The thread that runs guest timers and posted completions, under the bus lock.</summary>
/// <remarks>A halted vCPU may run timers in its stead, see <see cref="RunTimers"/>; nobody has to.</remarks>
internal sealed class EventLoop : IEventLoop, IDisposable
{
    private readonly Lock _busLock;
    private readonly GuestTimers _timers;
    private readonly HostEvent _wake = new();
    private readonly Thread _thread;

    // Work from other threads; guarded by _postedLock, a leaf lock.
    private readonly Lock _postedLock = new();
    private readonly Queue<IPostedWork> _posted = new();
    private volatile bool _isStopping;

    internal EventLoop(Lock busLock, GuestTimers timers, string machineName)
    {
        _busLock = busLock;
        _timers = timers;
        _thread = new Thread(Run) { Name = $"{machineName}: event loop", IsBackground = true };
    }

    /// <summary>Starts the thread.</summary>
    internal void Start()
    {
        _timers.OnEarlier = OnEarlier;
        _thread.Start();
    }

    /// <inheritdoc/>
    public void Post(IPostedWork work)
    {
        bool isFirst;
        lock (_postedLock)
        {
            _posted.Enqueue(work);
            isFirst = _posted.Count == 1;
        }

        if (isFirst)
        {
            _wake.Set();
        }
    }

    /// <summary>Looks at the timers again: guest time runs on, or their deadlines came from a checkpoint.</summary>
    internal void Wake() => _wake.Set();

    /// <summary>Ends the thread. To wait for that, the bus lock must not be held.</summary>
    internal void Stop(bool waits)
    {
        _isStopping = true;
        _wake.Set();
        if (waits && _thread.IsAlive && Environment.CurrentManagedThreadId != _thread.ManagedThreadId)
        {
            _thread.Join();
        }
    }

    /// <summary>
    /// Runs the timers that are due, on a thread that has nothing else to do. When the bus is taken, perhaps for all of
    /// a pause, perhaps by who waits for this thread, that is left to the event loop.
    /// </summary>
    /// <returns>
    /// Nanoseconds until the next is due; <see cref="long.MaxValue"/>: none is, or the event loop sees to it.
    /// </returns>
    internal long RunTimers()
    {
        if (!_busLock.TryEnter())
        {
            return long.MaxValue;
        }

        try
        {
            if (_timers.Clock.IsRunning)
            {
                _timers.RunDue();
            }

            return TimeToDeadline();
        }
        finally
        {
            _busLock.Exit();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Check.That(_isStopping);
        if (!_thread.IsAlive)
        {
            _wake.Dispose();
        }
    }

    private void OnEarlier()
    {
        if (Environment.CurrentManagedThreadId != _thread.ManagedThreadId)
        {
            _wake.Set();
        }
    }

    private void Run()
    {
        HostEvent.WakeThisThreadOnTime();
        while (!_isStopping)
        {
            long waitNanos;
            bool isMorePosted = false;
            lock (_busLock) // a pause holds it: nothing runs here meanwhile
            {
                if (_timers.Clock.IsRunning)
                {
                    isMorePosted = RunPosted();
                    _timers.RunDue();
                }

                waitNanos = TimeToDeadline();
            }

            if (isMorePosted)
            {
                Thread.Yield(); // whoever waits for the bus
            }
            else if (waitNanos > 0)
            {
                _wake.Wait(waitNanos);
            }
        }
    }

    // What is there now; what that posts again waits for the next hold of the bus, which work of devices that is never
    // done relies on. True: there is some. (Post wakes nobody then: the queue was never empty.)
    private bool RunPosted()
    {
        int count = PostedCount;
        for (; count > 0; count--)
        {
            IPostedWork work;
            lock (_postedLock)
            {
                work = _posted.Dequeue();
            }

            work.RunPosted();
        }

        return PostedCount > 0;
    }

    private int PostedCount
    {
        get
        {
            lock (_postedLock)
            {
                return _posted.Count;
            }
        }
    }

    private long TimeToDeadline()
    {
        long deadline = _timers.NextDeadlineNanos;
        return !_timers.Clock.IsRunning || deadline == long.MaxValue
            ? long.MaxValue
            : Math.Max(0, deadline - _timers.Clock.NowNanos);
    }
}
