using System;

namespace Hypervisor.Devices.Chipset;

/// <summary>Converts between seconds and the RTC's registers, in whichever form register B asks for.</summary>
/// <remarks>Spec: MC146818A data sheet, "Time, Calendar, and Alarm Locations".</remarks>
internal static class RtcCalendar
{
    /// <summary>Where the century is kept, as the FADT announces it.</summary>
    public const int CenturyIndex = 0x32;

    private const int Seconds = 0;
    private const int SecondsAlarm = 1;
    private const int Minutes = 2;
    private const int MinutesAlarm = 3;
    private const int Hours = 4;
    private const int HoursAlarm = 5;
    private const int WeekDay = 6;
    private const int Day = 7;
    private const int Month = 8;
    private const int Year = 9;

    private const byte Is24Hours = 0x02;   // register B
    private const byte IsBinary = 0x04;    // register B
    private const byte AfterNoon = 0x80;   // of an hour in 12-hour form
    private const byte AnyValue = 0xC0;    // of an alarm: both bits set

    private const long SecondsMin = -62_135_596_800; // year 1
    private const long SecondsMax = 253_402_300_799; // year 9999

    /// <summary>Whether a register shows time or date.</summary>
    public static bool IsTime(int index)
        => index is Seconds or Minutes or Hours or (>= WeekDay and <= Year) or CenturyIndex;

    /// <summary>Writes time and date into the registers.</summary>
    /// <param name="cmos">All of CMOS.</param>
    /// <param name="seconds">Since 1970.</param>
    /// <param name="form">Register B.</param>
    public static void Fill(Span<byte> cmos, long seconds, byte form)
    {
        DateTime time = DateTime.UnixEpoch.AddSeconds(Math.Clamp(seconds, SecondsMin, SecondsMax));
        cmos[Seconds] = Encode(time.Second, form);
        cmos[Minutes] = Encode(time.Minute, form);
        cmos[Hours] = EncodeHour(time.Hour, form);
        cmos[WeekDay] = Encode((int)time.DayOfWeek + 1, form); // 1 is Sunday
        cmos[Day] = Encode(time.Day, form);
        cmos[Month] = Encode(time.Month, form);
        cmos[Year] = Encode(time.Year % 100, form);
        cmos[CenturyIndex] = Encode(time.Year / 100, form);
    }

    /// <summary>
    /// Seconds since 1970 of what the registers show; values that no calendar has are brought into range.
    /// </summary>
    public static long Parse(ReadOnlySpan<byte> cmos, byte form)
    {
        int year = Math.Clamp((Decode(cmos[CenturyIndex], form) * 100) + Decode(cmos[Year], form), 1, 9999);
        int month = Math.Clamp(Decode(cmos[Month], form), 1, 12);
        int day = Math.Clamp(Decode(cmos[Day], form), 1, DateTime.DaysInMonth(year, month));
        int hour = Math.Clamp(DecodeHour(cmos[Hours], form), 0, 23);
        int minute = Math.Clamp(Decode(cmos[Minutes], form), 0, 59);
        int second = Math.Clamp(Decode(cmos[Seconds], form), 0, 59);
        var time = new DateTime(year, month, day, hour, minute, second, DateTimeKind.Utc);
        return (long)(time - DateTime.UnixEpoch).TotalSeconds;
    }

    /// <summary>The first second after <paramref name="seconds"/> at which the alarm matches.</summary>
    /// <returns><see cref="long.MaxValue"/> when it never does.</returns>
    public static long NextAlarm(ReadOnlySpan<byte> cmos, long seconds, byte form)
    {
        const int Minute = 60;
        const int Hour = 60 * Minute;
        const int DayLength = 24 * Hour;
        long next = seconds + 1;
        while (next <= seconds + DayLength)
        {
            int inDay = (int)(((next % DayLength) + DayLength) % DayLength);
            if (!Matches(cmos[HoursAlarm], EncodeHour(inDay / Hour, form)))
            {
                next += Hour - (inDay % Hour);
            }
            else if (!Matches(cmos[MinutesAlarm], Encode(inDay / Minute % 60, form)))
            {
                next += Minute - (inDay % Minute);
            }
            else if (!Matches(cmos[SecondsAlarm], Encode(inDay % Minute, form)))
            {
                next++;
            }
            else
            {
                return next;
            }
        }

        return long.MaxValue;
    }

    private static bool Matches(byte alarm, byte value) => (alarm & AnyValue) == AnyValue || alarm == value;

    private static byte Encode(int value, byte form)
        => (form & IsBinary) != 0 ? (byte)value : (byte)(((value / 10) << 4) | (value % 10));

    private static int Decode(byte value, byte form)
        => (form & IsBinary) != 0 ? value : ((value >> 4) * 10) + (value & 0x0F);

    private static byte EncodeHour(int hour, byte form)
    {
        if ((form & Is24Hours) != 0)
        {
            return Encode(hour, form);
        }

        int twelfth = hour % 12 == 0 ? 12 : hour % 12;
        return (byte)(Encode(twelfth, form) | (hour >= 12 ? AfterNoon : 0));
    }

    private static int DecodeHour(byte value, byte form)
    {
        if ((form & Is24Hours) != 0)
        {
            return Decode(value, form);
        }

        return (Decode((byte)(value & ~AfterNoon), form) % 12) + ((value & AfterNoon) != 0 ? 12 : 0);
    }
}
