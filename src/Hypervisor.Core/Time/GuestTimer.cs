using System;
using Hypervisor.Core.State;

namespace Hypervisor.Core.Time;

/// <summary>A one-shot deadline in guest time, owned by a device. All calls with the bus lock held.</summary>
/// <remarks>The owner moves it in its own section with <see cref="Transfer"/>.</remarks>
public sealed class GuestTimer
{
    private readonly GuestTimers _timers;
    private readonly Action _onExpired;

    internal GuestTimer(GuestTimers timers, Action onExpired)
    {
        _timers = timers;
        _onExpired = onExpired;
    }

    /// <summary>Guest time at which it expires; <see cref="long.MaxValue"/> when it is not armed.</summary>
    public long DeadlineNanos { get; private set; } = long.MaxValue;

    /// <summary>Whether it will expire.</summary>
    public bool IsArmed => DeadlineNanos != long.MaxValue;

    /// <summary>Sets or moves the deadline; one in the past expires at the next chance.</summary>
    public void Arm(long deadlineNanos)
    {
        DeadlineNanos = deadlineNanos;
        _timers.OnArmed(deadlineNanos);
    }

    /// <summary>Forgets the deadline.</summary>
    public void Disarm() => DeadlineNanos = long.MaxValue;

    /// <summary>Moves the deadline through a section.</summary>
    public void Transfer(ref StateCodec state)
    {
        long deadline = DeadlineNanos;
        state.I64(ref deadline);
        if (!state.IsSaving)
        {
            Arm(deadline);
        }
    }

    internal void Expire()
    {
        DeadlineNanos = long.MaxValue;
        _onExpired();
    }
}
