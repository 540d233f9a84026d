using System.Collections.Generic;
using Hypervisor.Benchmarks.Kit;

namespace Hypervisor.Tests.Benchmarks;

/// <summary>Results for tests, made by hand.</summary>
internal static class KitRuns
{
    /// <summary>A run that booted in a second.</summary>
    public static KitRun Run(string label, IReadOnlyList<KitRow> rows, bool isDone = true)
        => new(label, rows, 1, isDone, isDone ? "exit" : "stalled in x", [], [], ["last line"]);

    /// <summary>A benchmark that ended well.</summary>
    public static KitRow Row(string name, double seconds, string checksum = "aa")
        => new(name, seconds, seconds, 0, "0", checksum);
}
