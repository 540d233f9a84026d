using System;
using System.Globalization;
using Hypervisor.TestKit.Oracle;

namespace Hypervisor.Benchmarks;

/// <summary><c>diff --seed S --cases N [--only MNEMONIC]</c>: a long campaign against the bare host CPU.</summary>
internal static class DifferentialProgram
{
    private const int ReportEveryBatches = 2000;

    internal static int Run(ReadOnlySpan<string> arguments)
    {
        if (arguments.Contains("--programs"))
        {
            return ProgramDifferential.Run(arguments);
        }

        int seed = Environment.ProcessId;
        long cases = 1_000_000;
        string only = "";
        for (int i = 0; i + 1 < arguments.Length; i += 2)
        {
            switch (arguments[i])
            {
                case "--seed":
                    seed = int.Parse(arguments[i + 1], CultureInfo.InvariantCulture);
                    break;
                case "--cases":
                    cases = long.Parse(arguments[i + 1], CultureInfo.InvariantCulture);
                    break;
                case "--only":
                    only = arguments[i + 1];
                    break;
                default:
                    Console.Error.WriteLine($"diff: unknown {arguments[i]}, allowed are --seed, --cases, --only");
                    return 2;
            }
        }

        using var campaign = new DifferentialCampaign();
        campaign.Only(only);
        Console.WriteLine($"seed {seed}, {cases} cases over {campaign.CodeCount} encodings");
        long done = 0;
        for (int batch = 0; done < cases; batch++)
        {
            done += campaign.RunBatch(seed, batch, Console.WriteLine);
            if (batch % ReportEveryBatches == ReportEveryBatches - 1)
            {
                Console.WriteLine($"{done} cases, {campaign.MismatchCount} mismatches");
            }
        }

        Console.WriteLine(
            $"{done} cases, {campaign.MismatchCount} mismatches in {campaign.MismatchedCodeCount} encodings");
        return campaign.MismatchCount == 0 ? 0 : 1;
    }
}
