using System;
using System.Collections.Concurrent;
using System.Threading;
using Hypervisor.Sessions;

namespace Hypervisor.Control;

/// <summary>One listener's place in an <see cref="EventFeed"/>.</summary>
internal sealed class EventSubscription(Action<EventSubscription> forget) : IDisposable
{
    // Twenty-five seconds of epochs at the ten a second that are told: who is that late does not read.
    private const int WaitingMax = 256;

    private readonly BlockingCollection<StatusEvent> _waiting = new(WaitingMax);
    private bool _isOverrun;

    /// <summary>Whether it was too slow and has lost events.</summary>
    public bool IsOverrun => Volatile.Read(ref _isOverrun); // pairs with Offer

    /// <summary>Whether nothing will come any more.</summary>
    public bool IsOver => _waiting.IsCompleted;

    /// <summary>The next event.</summary>
    /// <returns>False when none came within <paramref name="patienceMillis"/>, or none will.</returns>
    public bool TryTake(int patienceMillis, out StatusEvent? status) => _waiting.TryTake(out status, patienceMillis);

    /// <summary>Hands an event over; never waits. The feed's lock is held.</summary>
    public void Offer(StatusEvent status)
    {
        if (!_waiting.TryAdd(status))
        {
            Volatile.Write(ref _isOverrun, true); // pairs with IsOverrun
        }
    }

    /// <summary>Nothing more will be offered. The feed's lock is held.</summary>
    public void Complete() => _waiting.CompleteAdding();

    /// <inheritdoc/>
    public void Dispose()
    {
        forget(this); // nobody offers after this
        _waiting.Dispose();
    }
}
