using System;
using System.Collections.Generic;
using System.IO;

namespace Hypervisor.Benchmarks.Protection;

/// <summary>`protected`: what a standby on the same host costs a benchmark of the kit.</summary>
internal static class ProtectionProgram
{
    /// <summary>
    /// `protected HV CACHE ROOT [OPTIONS]`: HV is the program, CACHE what kit-files.sh made, ROOT the checkout.
    /// </summary>
    public static int Run(ReadOnlySpan<string> words)
        => Measurement.Run("protected", "HV CACHE ROOT", ProtectionOptions.Usage, words, (paths, optionWords) =>
        {
            var options = ProtectionOptions.Parse(optionWords);
            return Measure(
                paths[0], Path.Combine(paths[1], "kit"), paths[2], options, string.Join(' ', optionWords));
        });

    private static int Measure(string hv, string files, string root, ProtectionOptions options, string command)
    {
        var measurement = new Measurement("protected", root);
        string results = measurement.MakeResults();
        string head = BenchmarkHost.Describe(hv);
        var runner = new ProtectionRunner(hv, files, options.Benchmark, results);
        string?[] epochs = [null, .. options.Epochs];
        List<ProtectionRun> runs = [];
        for (int round = 1; round <= options.Rounds; round++)
        {
            foreach (string? epoch in epochs)
            {
                string name = $"{epoch ?? "alone"}.r{round}";
                ProtectionRun run = runner.Run(epoch, name);
                runs.Add(run);
                Console.Error.WriteLine(
                    $"{name} {Figures.Number(run.Seconds)} s, vCPU {Figures.Number(run.VcpuSeconds)} s, "
                    + $"{Figures.Number(run.EpochsPerSecond)} epochs/s {run.Fault}");
            }
        }

        var report = new ProtectionReport(runs);
        string section = measurement.Section(
            "Protection",
            command,
            "Primary and standby on one host, over loopback. The benchmark begins once the pair is protected.",
            $"{head}Guests: 1 vCPU, {BenchmarkHost.DescribeGuest(files)}, the kit's `{options.Benchmark.Rows[0]}`.",
            report.Write());
        measurement.Publish(section, results, options.Report ?? measurement.Page);
        return report.Faults.Count == 0 ? 0 : 1;
    }
}
