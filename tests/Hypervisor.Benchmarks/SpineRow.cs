using System.Collections.Generic;
using System.Linq;

namespace Hypervisor.Benchmarks;

/// <summary>One row of the table.</summary>
/// <param name="What">What was measured.</param>
/// <param name="Goal">What it is to be, in the same unit.</param>
/// <param name="Measured">What it is.</param>
/// <param name="IsMet">Whether the goal is met; null where there is none.</param>
internal sealed record SpineRow(string What, string Goal, string Measured, bool? IsMet)
{
    /// <summary>All of them as Markdown.</summary>
    public static string Table(IEnumerable<SpineRow> rows) => string.Join(
        '\n',
        [
            "| what | goal | measured | met |", "|---|---|---|---|",
            .. rows.Select(row => $"| {row.What} | {row.Goal} | {row.Measured} | {YesOrNo(row.IsMet)} |"),
        ]);

    private static string YesOrNo(bool? isMet) => isMet switch { true => "yes", false => "no", null => "" };
}
