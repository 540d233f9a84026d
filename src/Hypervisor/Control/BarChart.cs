using System;
using System.Collections.Generic;
using System.Linq;

namespace Hypervisor.Control;

/// <summary>Numbers as bars of block characters.</summary>
internal static class BarChart
{
    private const string Eighths = " ▁▂▃▄▅▆▇█"; // Unicode 2581-2588: so many eighths of a row, from below

    /// <summary>A bar upwards for each number; the greatest is as high as the chart.</summary>
    /// <param name="values">The numbers, not negative.</param>
    /// <param name="rowCount">Height.</param>
    /// <returns>Rows from the top. A number above 0 shows at least an eighth of a row.</returns>
    public static IReadOnlyList<string> Columns(IReadOnlyList<long> values, int rowCount)
    {
        long greatest = Math.Max(1, values.Count > 0 ? values.Max() : 1);
        string[] rows = new string[rowCount];
        for (int row = 0; row < rowCount; row++)
        {
            int belowEighths = (rowCount - 1 - row) * 8;
            rows[row] = string.Concat(values.Select(
                value => Eighths[Math.Clamp(Height(value, greatest, rowCount * 8) - belowEighths, 0, 8)]));
        }

        return rows;
    }

    /// <summary>A bar to the right; a number above 0 shows at least one column.</summary>
    public static string Row(long value, long greatest, int columnCount)
        => new('█', Height(value, Math.Max(1, greatest), columnCount));

    private static int Height(long value, long greatest, int steps)
        => value <= 0 ? 0 : Math.Max(1, (int)Math.Round((double)value / greatest * steps));
}
