using System;
using System.Globalization;

namespace Hypervisor.CommandLine;

/// <summary>`--rtc base=utc|localtime|YYYY-MM-DDThh:mm:ss`: what the guest's clock shows at power-on.</summary>
internal static class RtcText
{
    /// <summary>
    /// Parses <paramref name="text"/> and takes the time from <paramref name="time"/> where it asks for now.
    /// </summary>
    /// <exception cref="UsageException">Another key, or no date.</exception>
    public static DateTime Parse(string where, string text, TimeProvider time)
    {
        string start = PropertyList.Parse($"{where} {text}", text, "base").Find("base")!;
        switch (start)
        {
            case "utc":
                return time.GetUtcNow().UtcDateTime;
            case "localtime":
                return time.GetLocalNow().DateTime;
        }

        string[] formats = ["yyyy-MM-dd'T'HH:mm:ss", "yyyy-MM-dd"];
        return DateTime.TryParseExact(
            start, formats, CultureInfo.InvariantCulture, DateTimeStyles.None, out DateTime date) && date.Year >= 1970
            ? date
            : throw new UsageException(
                $"{where}: '{start}' is not a time; allowed: utc, localtime, or YYYY-MM-DDThh:mm:ss from 1970 on");
    }

    /// <summary>Writes a time such that <see cref="Parse"/> reads it back, to the second.</summary>
    public static string Write(DateTime start) => start.ToString("yyyy-MM-dd'T'HH:mm:ss", CultureInfo.InvariantCulture);
}
