using System;
using System.Globalization;

namespace Hypervisor.CommandLine;

/// <summary>Sizes as QEMU writes them: `512M`, `1.5G`, `4096k`. Suffixes are powers of 1024.</summary>
internal static class SizeText
{
    private const string Suffixes = "bkmgtpe"; // each 1024 times the one before

    /// <summary>
    /// Parses <paramref name="text"/>; a number without suffix counts in <paramref name="unitBytes"/>.
    /// </summary>
    /// <exception cref="UsageException">Not a size, negative, or more than 64 bits hold.</exception>
    public static long Parse(string where, string text, long unitBytes = 1)
    {
        ReadOnlySpan<char> digits = text;
        decimal unit = unitBytes;
        char last = text.Length == 0 ? ' ' : char.ToLowerInvariant(text[^1]);
        int suffix = Suffixes.IndexOf(last, StringComparison.Ordinal);
        if (suffix >= 0)
        {
            digits = digits[..^1];
            unit = 1L << (10 * suffix);
        }

        if (!decimal.TryParse(digits, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal count))
        {
            throw new UsageException(
                $"{where}: '{text}' is not a size; allowed: a number with K, M, G or T behind it, such as 512M");
        }

        return count <= long.MaxValue / unit
            ? (long)(count * unit)
            : throw new UsageException($"{where}: '{text}' is too large; allowed: at most {long.MaxValue} bytes");
    }

    /// <summary>Writes a size in the largest unit that leaves no rest: `512M`.</summary>
    public static string Write(long bytes)
    {
        int suffix = 0;
        while (suffix < 4 && bytes != 0 && bytes % 1024 == 0)
        {
            bytes /= 1024;
            suffix++;
        }

        return suffix == 0
            ? bytes.ToString(CultureInfo.InvariantCulture)
            : bytes.ToString(CultureInfo.InvariantCulture) + char.ToUpperInvariant(Suffixes[suffix]);
    }
}
