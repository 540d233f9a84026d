using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text.RegularExpressions;

namespace Hypervisor.Benchmarks;

/// <summary>How the figures of a report are made and written.</summary>
internal static class Figures
{
    /// <summary>Median of the finite values; NaN when there is none.</summary>
    public static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Where(double.IsFinite).Order()];
        return sorted.Length == 0 ? double.NaN : (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    /// <summary>Three or four digits; a dash for what is not a number.</summary>
    public static string Number(double value) => double.IsFinite(value)
        ? value.ToString(value >= 100 ? "0" : value >= 10 ? "0.0" : "0.000", CultureInfo.InvariantCulture)
        : "–";

    /// <summary>A number that a line has.</summary>
    public static double Of(Match found, string group)
        => double.Parse(found.Groups[group].Value, CultureInfo.InvariantCulture);
}
