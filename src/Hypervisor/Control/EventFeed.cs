using System.Collections.Generic;
using System.Threading;
using Hypervisor.Sessions;

namespace Hypervisor.Control;

/// <summary>
/// Passes a guest's events on to whoever listens, and keeps the last ones for those who come late. Any thread; never
/// waits for a listener.
/// </summary>
internal sealed class EventFeed
{
    /// <summary>Events that are kept.</summary>
    public const int HistoryMax = 64;

    private readonly Lock _lock = new(); // protects the fields below; a leaf lock
    private readonly LinkedList<StatusEvent> _history = [];
    private readonly List<EventSubscription> _listeners = [];
    private string _lastLine = "";
    private bool _isClosed;

    /// <summary>The last event that was neither an epoch nor progress, as a line for people.</summary>
    public string LastLine
    {
        get
        {
            lock (_lock)
            {
                return _lastLine;
            }
        }
    }

    /// <summary>Tells everybody; nobody any more after <see cref="Close"/>.</summary>
    public void Publish(StatusEvent status)
    {
        lock (_lock)
        {
            if (_isClosed)
            {
                return;
            }

            Remember(status);
            _listeners.ForEach(listener => listener.Offer(status));
        }
    }

    /// <summary>Listens from now on.</summary>
    /// <param name="history">What was kept, oldest first; the subscription goes on where it ends.</param>
    public EventSubscription Subscribe(out IReadOnlyList<StatusEvent> history)
    {
        lock (_lock)
        {
            history = [.. _history];
            var listener = new EventSubscription(Forget);
            _listeners.Add(listener);
            if (_isClosed)
            {
                listener.Complete();
            }

            return listener;
        }
    }

    /// <summary>Says that nothing more will come.</summary>
    public void Close()
    {
        lock (_lock)
        {
            _isClosed = true;
            _listeners.ForEach(listener => listener.Complete());
        }
    }

    private void Remember(StatusEvent status)
    {
        // Ten epochs a second would leave nothing else in the history: a row of them is one entry, the last.
        bool isFrequent = status.Kind is StatusKind.Epoch or StatusKind.Copying;
        if (isFrequent && _history.Last?.Value.Kind == status.Kind)
        {
            _history.RemoveLast();
        }

        _history.AddLast(status);
        if (_history.Count > HistoryMax)
        {
            _history.RemoveFirst();
        }

        if (!isFrequent)
        {
            _lastLine = StatusText.Describe(status);
        }
    }

    private void Forget(EventSubscription listener)
    {
        lock (_lock)
        {
            _ = _listeners.Remove(listener);
        }
    }
}
