using System;
using System.Collections.Generic;

namespace Hypervisor.Simulation;

/// <summary>Time, chance and the trace of one run. Everything happens on one thread, in the order of a queue.</summary>
internal sealed class World(ulong seed, Action<string>? trace)
{
    private const long EventsMax = 500_000; // a run has about 10 000

    private readonly PriorityQueue<Action, (long Time, long Order)> _queue = new();
    private long _order;

    /// <summary>Seed of the run.</summary>
    public ulong Seed => seed;

    /// <summary>True time in nanoseconds; nodes see their own clocks.</summary>
    public long Now { get; private set; }

    /// <summary>The run's only source of chance.</summary>
    public Prng Prng { get; } = new(seed);

    /// <summary>Whether the trace is wanted: build no texts otherwise.</summary>
    public bool IsTracing => trace is not null;

    /// <summary>Until when the network delays everything, by much more than usual.</summary>
    public long SlowUntil { get; set; }

    /// <summary>Events that have happened.</summary>
    public long Events { get; private set; }

    public void Trace(string who, string text) => trace?.Invoke($"{Now / 1e6,10:F3} ms  {who,-10} {text}");

    public void At(long delayNanos, Action action) => _queue.Enqueue(action, (Now + delayNanos, _order++));

    /// <summary>Runs until nothing happens before <paramref name="endNanos"/>.</summary>
    public void RunUntil(long endNanos)
    {
        while (_queue.TryPeek(out _, out (long Time, long Order) next) && next.Time <= endNanos)
        {
            Action action = _queue.Dequeue();
            Now = next.Time;
            if (++Events == EventsMax)
            {
                throw new RuleViolationException(31, $"{EventsMax} events by {Now / 1e6} ms: somebody runs in circles");
            }

            action();
        }

        Now = endNanos;
    }
}
