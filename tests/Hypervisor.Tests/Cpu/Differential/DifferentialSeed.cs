using System;
using System.Globalization;
using Xunit;

namespace Hypervisor.Tests.Cpu.Differential;

/// <summary>What the random tests of the suite start from: one seed, so that a run can be had again.</summary>
internal static class DifferentialSeed
{
    private const string Variable = "HV_DIFF_SEED";
    private const int Default = 20_261_127; // campaigns over others: ./run.sh diff

    /// <summary>The seed, which the test's output names.</summary>
    public static int Take(ITestOutputHelper output)
    {
        string? text = Environment.GetEnvironmentVariable(Variable);
        int seed = text is null ? Default : int.Parse(text, CultureInfo.InvariantCulture);
        output.WriteLine($"{Variable}={seed}");
        return seed;
    }
}
