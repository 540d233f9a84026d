using System;
using System.Diagnostics;
using System.Globalization;
using Hypervisor.Cpu.Identification;
using Hypervisor.TestKit.Oracle.Programs;

namespace Hypervisor.Benchmarks;

/// <summary>
/// <c>diff --programs N --seed S [--engine NAME] [--against NAME] [--cpu MODEL]</c>: random programs on an engine,
/// against the bare host; or against another engine, and then with injected stops.
/// </summary>
internal static class ProgramDifferential
{
    private const string Host = "host";
    private const int ReportEveryPrograms = 10_000;

    internal static int Run(ReadOnlySpan<string> arguments)
    {
        int seed = Environment.ProcessId;
        int programs = 0;
        string engine = "interpreter";
        string against = Host;
        CpuModel? model = null;
        var kind = ProgramKind.Long;
        for (int i = 0; i + 1 < arguments.Length; i += 2)
        {
            switch (arguments[i])
            {
                case "--programs":
                    programs = int.Parse(arguments[i + 1], CultureInfo.InvariantCulture);
                    break;
                case "--seed":
                    seed = int.Parse(arguments[i + 1], CultureInfo.InvariantCulture);
                    break;
                case "--engine":
                    engine = arguments[i + 1];
                    break;
                case "--cpu":
                    model = CpuModel.Find(arguments[i + 1]);
                    if (model is null || !model.IsSupported)
                    {
                        Console.Error.WriteLine($"diff: --cpu {arguments[i + 1]} is none that this host can run");
                        return 2;
                    }

                    break;
                case "--against":
                    against = arguments[i + 1];
                    break;
                case "--kind" when Enum.TryParse(arguments[i + 1], ignoreCase: true, out kind):
                    break;
                default:
                    Console.Error.WriteLine($"diff: unknown {arguments[i]} {arguments[i + 1]}, allowed with "
                        + "--programs are --seed, --engine, --against, --cpu, --kind");
                    Console.Error.WriteLine($"kinds: {string.Join(", ", Enum.GetNames<ProgramKind>())}");
                    return 2;
            }
        }

        VcpuFactory? tested = ProgramEngine.Find(engine, model);
        VcpuFactory? reference = ProgramEngine.Find(against, model);
        if (tested is null || (reference is null && against != Host))
        {
            string unknown = tested is null ? engine : against;
            Console.Error.WriteLine($"diff: no engine {unknown}, allowed are {string.Join(", ", ProgramEngine.Names)}");
            return 2;
        }

        if (reference is null && kind == ProgramKind.Real16)
        {
            Console.Error.WriteLine("diff: the host runs no real mode; use --against interpreter");
            return 2;
        }

        using ProgramCampaign campaign = reference is null
            ? ProgramCampaign.AgainstHost(tested, kind)
            : ProgramCampaign.AgainstEngine(tested, reference, kind);
        Console.WriteLine($"seed {seed}, {programs} programs, {kind}, {engine} against {against}");
        return Run(campaign, seed, programs);
    }

    private static int Run(ProgramCampaign campaign, int seed, int programs)
    {
        var time = Stopwatch.StartNew();
        for (int i = 0; i < programs; i++)
        {
            campaign.Run(unchecked(seed + i), Console.WriteLine);
            if (i % ReportEveryPrograms == ReportEveryPrograms - 1)
            {
                Console.WriteLine($"{i + 1} programs, {campaign.InstructionCount} instructions, "
                    + $"{campaign.MismatchCount} mismatches");
            }
        }

        double rate = campaign.InstructionCount / time.Elapsed.TotalSeconds / 1e6;
        Console.WriteLine(
            $"{programs} programs, {campaign.InstructionCount} instructions, {campaign.MismatchCount} mismatches, "
            + $"{time.Elapsed.TotalSeconds:F1} s, {rate:F1} million instructions/s, {campaign.StopCount} stops");
        foreach ((int vector, long count) in campaign.Ends)
        {
            Console.WriteLine($"  exception {vector}: {count} programs");
        }

        return campaign.MismatchCount == 0 ? 0 : 1;
    }
}
