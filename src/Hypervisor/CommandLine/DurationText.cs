using System;
using System.Globalization;

namespace Hypervisor.CommandLine;

/// <summary>Durations with a unit: `50ms`, `5s`, `1.5m`.</summary>
internal static class DurationText
{
    private static readonly (string Suffix, decimal Ticks)[] s_units =
    [
        ("ms", TimeSpan.TicksPerMillisecond), // before "s", which is its end
        ("us", TimeSpan.TicksPerMicrosecond),
        ("s", TimeSpan.TicksPerSecond),
        ("m", TimeSpan.TicksPerMinute),
        ("h", TimeSpan.TicksPerHour),
    ];

    /// <summary>Parses <paramref name="text"/> and refuses what lies outside the limits.</summary>
    /// <exception cref="UsageException">Not a duration, or out of range.</exception>
    public static TimeSpan Parse(string where, string text, TimeSpan shortest, TimeSpan longest)
    {
        foreach ((string suffix, decimal ticks) in s_units)
        {
            if (text.EndsWith(suffix, StringComparison.OrdinalIgnoreCase) && decimal.TryParse(
                text.AsSpan(0, text.Length - suffix.Length),
                NumberStyles.AllowDecimalPoint,
                CultureInfo.InvariantCulture,
                out decimal count))
            {
                bool fits = count <= longest.Ticks / ticks && count >= shortest.Ticks / ticks;
                return fits ? TimeSpan.FromTicks((long)(count * ticks)) : throw new UsageException(
                    $"{where}: '{text}' is out of range; allowed: {Write(shortest)} to {Write(longest)}");
            }
        }

        throw new UsageException(
            $"{where}: '{text}' is not a duration; allowed: a number with us, ms, s, m or h behind it, such as 50ms");
    }

    /// <summary>Writes a duration in the largest unit that leaves no rest.</summary>
    public static string Write(TimeSpan duration)
    {
        long ticks = duration.Ticks;
        (long count, string suffix) =
            ticks % TimeSpan.TicksPerHour == 0 && ticks != 0 ? (ticks / TimeSpan.TicksPerHour, "h")
            : ticks % TimeSpan.TicksPerSecond == 0 ? (ticks / TimeSpan.TicksPerSecond, "s")
            : ticks % TimeSpan.TicksPerMillisecond == 0 ? (ticks / TimeSpan.TicksPerMillisecond, "ms")
            : (ticks / TimeSpan.TicksPerMicrosecond, "us");
        return count.ToString(CultureInfo.InvariantCulture) + suffix;
    }
}
