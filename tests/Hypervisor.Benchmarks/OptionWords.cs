using System;
using System.Collections.Generic;
using System.Globalization;

namespace Hypervisor.Benchmarks;

/// <summary>The words of a measurement after those that run.sh adds: names, each with a value.</summary>
internal static class OptionWords
{
    /// <summary>Most rounds that anybody may ask for.</summary>
    public const int RoundsMax = 1000;

    /// <summary>Names with their values.</summary>
    /// <exception cref="FormatException">The last name has no value.</exception>
    public static IReadOnlyList<(string Name, string Value)> Pairs(ReadOnlySpan<string> words, string usage)
    {
        List<(string Name, string Value)> pairs = [];
        for (int i = 0; i < words.Length; i += 2)
        {
            pairs.Add((words[i], i + 1 < words.Length
                ? words[i + 1]
                : throw new FormatException($"{words[i]}: a value is missing; usage: {usage}")));
        }

        return pairs;
    }

    /// <summary>A number within bounds.</summary>
    /// <exception cref="FormatException">It is none; the message says what is allowed.</exception>
    public static double Number(string name, string value, double min, double max)
        => double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture, out double number)
            && number >= min && number <= max
            ? number
            : throw new FormatException(string.Create(
                CultureInfo.InvariantCulture, $"{name} {value}: allowed is a number from {min} to {max}"));

    /// <summary>How often everything runs; the fraction of a number is dropped.</summary>
    /// <exception cref="FormatException">See <see cref="Number"/>.</exception>
    public static int Rounds(string name, string value, int min) => (int)Number(name, value, min, RoundsMax);
}
