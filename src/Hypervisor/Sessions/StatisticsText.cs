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
    public static string Write(IEnumerable<EngineStatistics> vcpus)
    {
        var text = new StringBuilder();
        int index = 0;
        foreach (EngineStatistics vcpu in vcpus)
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"vCPU {index++}:");
            text.AppendLine(
                CultureInfo.InvariantCulture,
                $"  translated {vcpu.TranslatedBlocks} blocks of {vcpu.TranslatedInstructions} instructions in "
                + $"{vcpu.TranslationNanos / 1e6:F1} ms; {vcpu.InterpretedBlocks} runs of blocks were interpreted");
            text.AppendLine(CultureInfo.InvariantCulture, $"  TLB misses {vcpu.TlbMisses}");
            text.AppendLine("  exits " + string.Join(
                ", ", vcpu.Exits.Select(exit => string.Create(CultureInfo.InvariantCulture, $"{exit.Reason} {exit.Count}"))));
            text.AppendLine("  interpreted " + string.Join(
                ", ",
                vcpu.Interpreted.Take(InterpretedMax)
                    .Select(one => string.Create(CultureInfo.InvariantCulture, $"{one.Encoding} {one.Count}"))));
        }

        return text.ToString();
    }
}
