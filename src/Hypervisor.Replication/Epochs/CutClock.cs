using System;

namespace Hypervisor.Replication.Epochs;

/// <summary>
/// When the open epoch is long enough to be cut: on a grid of one epoch, so that lateness does not add up.
/// </summary>
/// <remarks>
/// A cut comes late by wake-ups, by a vCPU that lost its processor, by a link that is behind. Were the next one counted
/// from there, a setting of 20 epochs a second would give 15 on a busy host. So the epoch after a late cut is shorter,
/// but never below half: a host or link that cannot keep up is not asked for more in less time.
/// </remarks>
internal sealed class CutClock(long epochNanos, long outputEpochNanos)
{
    private long _lastNanos; // when the open epoch began
    private long _dueNanos;  // its end on the grid

    /// <summary>An epoch begins that owes nothing to those before it.</summary>
    public void Restart(long nowNanos)
    {
        _lastNanos = nowNanos;
        _dueNanos = nowNanos + epochNanos;
    }

    /// <summary>A cut was taken.</summary>
    public void OnCut(long nowNanos)
    {
        bool isEarly = nowNanos < _dueNanos; // for output or for room: the grid begins anew
        _lastNanos = nowNanos;
        _dueNanos = isEarly ? nowNanos + epochNanos : Math.Max(_dueNanos + epochNanos, nowNanos + (epochNanos / 2));
    }

    /// <summary>Time of the next cut; sooner when output waits for it.</summary>
    public long DueNanos(bool isOutputWaiting)
        => isOutputWaiting ? Math.Min(_dueNanos, _lastNanos + outputEpochNanos) : _dueNanos;
}
