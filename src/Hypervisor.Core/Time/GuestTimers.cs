using System;
using System.Collections.Generic;

namespace Hypervisor.Core.Time;

/// <summary>The timers of one machine. Created at build time, run under the bus lock, by the machine's event
/// loop or a vCPU that idles.</summary>
public sealed class GuestTimers(GuestClock clock)
{
    // A machine has about a dozen timers: a scan beats a heap, and its order is defined.
    private readonly List<GuestTimer> _timers = [];

    /// <summary>Guest time.</summary>
    public GuestClock Clock => clock;

    /// <summary>Called when a deadline earlier than all others was armed: the event loop must wake earlier.</summary>
    public Action? OnEarlier { get; set; }

    /// <summary>The earliest deadline, <see cref="long.MaxValue"/> when none is armed.</summary>
    public long NextDeadlineNanos
    {
        get
        {
            long next = long.MaxValue;
            foreach (GuestTimer timer in _timers)
            {
                next = Math.Min(next, timer.DeadlineNanos);
            }

            return next;
        }
    }

    /// <summary>Creates a timer that calls <paramref name="onExpired"/> (under the bus lock).</summary>
    public GuestTimer Create(Action onExpired)
    {
        var timer = new GuestTimer(this, onExpired);
        _timers.Add(timer);
        return timer;
    }

    /// <summary>Expires everything that is due, earliest first.</summary>
    public void RunDue()
    {
        long now = clock.NowNanos;
        while (FindEarliest() is { } timer && timer.DeadlineNanos <= now)
        {
            timer.Expire();
        }
    }

    internal void OnArmed(long deadlineNanos)
    {
        if (OnEarlier is not null && deadlineNanos != long.MaxValue && deadlineNanos <= NextDeadlineNanos)
        {
            OnEarlier();
        }
    }

    private GuestTimer? FindEarliest()
    {
        GuestTimer? earliest = null;
        foreach (GuestTimer timer in _timers)
        {
            if (timer.IsArmed && (earliest is null || timer.DeadlineNanos < earliest.DeadlineNanos))
            {
                earliest = timer;
            }
        }

        return earliest;
    }
}
