using System;

namespace Hypervisor.Devices.Chipset;

/// <summary>The rate of a counter, and the way between its ticks and guest nanoseconds. Never goes backwards.</summary>
internal readonly struct TickRate(long hertz)
{
    private const long NanosPerSecond = 1_000_000_000;

    /// <summary>Whole ticks that passed at <paramref name="nanos"/>.</summary>
    public long TicksAt(long nanos)
    {
        // In two steps, because nanos * hertz overflows after two hours.
        (long seconds, long rest) = Math.DivRem(nanos, NanosPerSecond);
        return (seconds * hertz) + (rest * hertz / NanosPerSecond);
    }

    /// <summary>The first nanosecond at which <paramref name="ticks"/> have passed.</summary>
    public long NanosAt(long ticks)
    {
        (long seconds, long rest) = Math.DivRem(ticks, hertz);
        return seconds > (long.MaxValue / NanosPerSecond) - 1
            ? long.MaxValue - 1
            : (seconds * NanosPerSecond) + (((rest * NanosPerSecond) + hertz - 1) / hertz);
    }
}
