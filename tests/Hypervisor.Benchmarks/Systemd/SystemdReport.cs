using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;
using Hypervisor.Benchmarks.Kit;
using static Hypervisor.Benchmarks.Figures;

namespace Hypervisor.Benchmarks.Systemd;

/// <summary>The table of one session: a row for each machine, its medians, and what went wrong.</summary>
/// <param name="boots">Everything that ran.</param>
internal sealed class SystemdReport(IReadOnlyList<SystemdBoot> boots)
{
    /// <summary>What went wrong.</summary>
    public IReadOnlyList<string> Faults { get; } =
        [.. boots.Where(boot => boot.Fault is not null).Select(boot => $"{boot.Name}: {boot.Fault}")];

    /// <summary>Writes all of it as Markdown.</summary>
    public string Write()
    {
        var text = new StringBuilder();
        Add(text, $"| | process start to `login:`, s | each | processor time, s | time / hv's | boots |\n");
        Add(text, $"|---|---|---|---|---|---|\n");
        string[] names = [.. boots.Select(boot => boot.Name).Distinct()];
        foreach (string name in names)
        {
            string each = string.Join(", ", Good(name).Select(boot => Number(boot.Seconds)));
            Add(text, $"| {name} | {Number(Seconds(name))} | {each} | {Number(CpuSeconds(name))} ");
            Add(text, $"| {Number(Seconds(name) / Seconds(KitLabels.Ours))} | {Good(name).Count()} |\n");
        }

        Add(text, $"\nMedians. Processor time is the whole process's until then, by all of its threads.");
        if (Faults.Count == 0)
        {
            Add(text, $" No unit failed, on any of them.");
        }

        foreach (string fault in Faults)
        {
            Add(text, $"\n- ERROR {fault}");
        }

        return text.ToString();
    }

    private double Seconds(string name) => Median(Good(name).Select(boot => boot.Seconds));

    private double CpuSeconds(string name) => Median(Good(name).Select(boot => boot.CpuSeconds));

    /// <remarks>A boot with a failed unit did not do the work, so it has no time.</remarks>
    private IEnumerable<SystemdBoot> Good(string name)
        => boots.Where(boot => boot.Name == name && boot.Fault is null);

    private static void Add(StringBuilder text, FormattableString line)
        => text.Append(line.ToString(CultureInfo.InvariantCulture));
}
