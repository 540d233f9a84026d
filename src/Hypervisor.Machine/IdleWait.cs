using System;
using System.Threading;
using Hypervisor.Core.Host;

namespace Hypervisor.Machine;

/// <summary>
/// How a halted vCPU waits, and who pauses one: awake for a moment, then asleep until the next timer at most.
/// </summary>
/// <remarks>
/// Most waits end soon. Those of .NET yield the processor again and again before they sleep, and on a busy host the
/// thread falls behind all others by that: a guest's median pause was 4 and 15 times as long. For the waits that
/// last, a timer that ends one is run by the thread that waits: were it left to the event loop, two threads would have
/// to be woken one after the other.
/// </remarks>
/// <param name="timers">Runs what is due and says when to come again; null: another thread does that.</param>
internal sealed class IdleWait(Func<long>? timers) : IDisposable
{
    private const int SpinsBeforeSleep = 200; // about 20 µs: less than a thread needs to be woken

    private readonly HostEvent _event = new();
    private int _isSet;
    private int _isAsleep;

    /// <summary>Ends the wait that is under way, or the next one. Any thread.</summary>
    internal void Set()
    {
        if (Interlocked.Exchange(ref _isSet, 1) == 0 && Volatile.Read(ref _isAsleep) != 0) // pairs with Sleep
        {
            _event.Set();
        }
    }

    /// <summary>Waits for <see cref="Set"/>.</summary>
    internal void Wait()
    {
        for (int spins = 0; spins < SpinsBeforeSleep; spins++)
        {
            if (TryTake())
            {
                return;
            }

            Thread.SpinWait(20);
        }

        long nanos = timers?.Invoke() ?? long.MaxValue;
        while (!TryTake())
        {
            Sleep(nanos);
            nanos = timers?.Invoke() ?? long.MaxValue;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _event.Dispose();

    private void Sleep(long nanos)
    {
        _ = Interlocked.Exchange(ref _isAsleep, 1); // a fence: whoever sets it from now on sees it
        if (Volatile.Read(ref _isSet) == 0 && nanos > 0)
        {
            _event.Wait(nanos);
        }

        Volatile.Write(ref _isAsleep, 0);
    }

    private bool TryTake() => Volatile.Read(ref _isSet) != 0 && Interlocked.Exchange(ref _isSet, 0) != 0;
}
