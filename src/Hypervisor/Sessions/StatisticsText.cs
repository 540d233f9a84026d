using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;
using Hypervisor.Cpu;

namespace Hypervisor.Sessions;

/// <summary>What `hv run --stats` prints when the guest has ended.</summary>
internal static class StatisticsText
{
    private const int InterpretedMax = 24;

    /// <summary>A few lines per vCPU.</summary>
    /// <param name="instructions">Guest instructions run by all vCPUs.</param>
    /// <param name="vcpus">One per vCPU.</param>
    public static string Write(ulong instructions, IEnumerable<EngineStatistics> vcpus)
    {
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"guest instructions {instructions}");
        int index = 0;
        foreach (EngineStatistics vcpu in vcpus)
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"vCPU {index++}:");
            text.AppendLine(
                CultureInfo.InvariantCulture,
                $"  translated {vcpu.TranslatedBlocks} blocks of {vcpu.TranslatedInstructions} instructions in "
                + $"{vcpu.TranslationNanos / 1e6:F1} ms; {vcpu.InterpretedBlocks} runs of blocks were interpreted; "
                + $"{vcpu.Evictions} times old translations made room, "
                + $"{vcpu.LongestEvictionNanos / 1e6:F1} ms at most");
            text.AppendLine(CultureInfo.InvariantCulture, $"  TLB misses {vcpu.TlbMisses}");
            text.AppendLine("  exits " + Join(vcpu.Exits));
            text.AppendLine("  interpreted " + Join(vcpu.Interpreted.Take(InterpretedMax)));
        }

        return text.ToString();
    }

    private static string Join(IEnumerable<(string Name, ulong Count)> counts)
        => string.Join(
            ", ", counts.Select(one => string.Create(CultureInfo.InvariantCulture, $"{one.Name} {one.Count}")));
}
