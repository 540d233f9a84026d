using System;
using System.Threading;

namespace Hypervisor.Replication.Session;

/// <summary>The longest pause of each of the last 60 seconds. Any thread.</summary>
internal sealed class RecentPauses
{
    /// <summary>Seconds that are kept.</summary>
    public const int Seconds = 60;

    private const long NanosPerSecond = 1_000_000_000;

    private readonly Lock _lock = new(); // protects the fields below
    private readonly long[] _longestNanos = new long[Seconds]; // second n of the clock is at n modulo 60
    private long _newestSecond = long.MinValue;

    /// <summary>Takes in a pause that ended at <paramref name="endNanos"/> of the host's clock.</summary>
    public void Add(long endNanos, long pauseNanos)
    {
        lock (_lock)
        {
            Advance(endNanos / NanosPerSecond);
            ref long longest = ref _longestNanos[_newestSecond % Seconds];
            longest = Math.Max(longest, pauseNanos);
        }
    }

    /// <summary>Nanoseconds, oldest second first; 0 where there was no pause.</summary>
    public long[] Snapshot(long nowNanos)
    {
        lock (_lock)
        {
            Advance(nowNanos / NanosPerSecond);
            long[] seconds = new long[Seconds];
            for (int i = 0; i < Seconds; i++)
            {
                seconds[i] = _longestNanos[(_newestSecond + 1 + i) % Seconds];
            }

            return seconds;
        }
    }

    private void Advance(long second)
    {
        if (second - Seconds >= _newestSecond)
        {
            Array.Clear(_longestNanos);
            _newestSecond = second;
        }

        while (_newestSecond < second)
        {
            _longestNanos[++_newestSecond % Seconds] = 0;
        }
    }
}
