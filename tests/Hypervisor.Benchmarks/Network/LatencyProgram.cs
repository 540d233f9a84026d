using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using Hypervisor.TestKit;

namespace Hypervisor.Benchmarks.Network;

/// <summary>`latency`: what protection adds to the time in which an idle guest answers a client outside.</summary>
internal static class LatencyProgram
{
    /// <summary>
    /// `latency HV FILES ROOT [OPTIONS]`: HV is the program, FILES holds vmlinuz, initrd.gz and disk.img, ROOT is the
    /// checkout.
    /// </summary>
    public static int Run(ReadOnlySpan<string> words)
        => Measurement.Run("latency", "HV FILES ROOT", LatencyOptions.Usage, words, (paths, optionWords) =>
        {
            var options = LatencyOptions.Parse(optionWords);
            return NetworkNamespace.WhyNot() is { } reason
                ? throw new InvalidOperationException($"no network namespace: {reason}")
                : Measure(paths[0], paths[1], paths[2], options, string.Join(' ', optionWords));
        });

    private static int Measure(string hv, string files, string root, LatencyOptions options, string command)
    {
        var measurement = new Measurement("latency", root);
        string results = measurement.MakeResults();
        string head = BenchmarkHost.Describe(hv);
        string?[] epochs = [null, .. options.Epochs];
        List<double[]>[] runs = [.. epochs.Select(_ => new List<double[]>())];
        for (int round = 1; round <= options.Rounds; round++)
        {
            for (int i = 0; i < epochs.Length; i++)
            {
                double[] millis = LatencyRun.Measure(hv, files, results, epochs[i]).Tcp;
                runs[i].Add(millis);
                Console.Error.WriteLine(
                    $"{epochs[i] ?? "alone"}.r{round}: median {Figures.Number(Percentile(millis, 50))} ms, "
                    + $"p99 {Figures.Number(Percentile(millis, 99))} ms");
            }
        }

        string section = measurement.Section(
            "Latency of an idle guest",
            command,
            "A client in a network namespace of its own sends 16 bytes over TCP to an echo service in a Linux guest, "
            + "waits for the answer, thinks for 2 ms and asks again, 1000 times. Primary and standby are on one host, "
            + "in namespaces of their own.",
            head,
            Write(epochs, runs));
        measurement.Publish(section, results, options.Report ?? Path.Combine(root, "docs", "protection.md"));
        return 0;
    }

    private static string Write(string?[] epochs, List<double[]>[] runs)
    {
        var text = new StringBuilder();
        text.AppendLine("| | median, ms | each | p90 | p99 | longest | added, median, ms |");
        text.AppendLine("|---|---|---|---|---|---|---|");
        double alone = double.NaN;
        for (int i = 0; i < epochs.Length; i++)
        {
            double median = Across(runs[i], 50);
            alone = i == 0 ? median : alone;
            string each = string.Join(", ", runs[i].Select(run => Figures.Number(Percentile(run, 50))));
            text.AppendLine($"| {(epochs[i] is { } epoch ? $"protected, epochs of {epoch}" : "alone")} "
                + $"| {Figures.Number(median)} | {each} | {Figures.Number(Across(runs[i], 90))} "
                + $"| {Figures.Number(Across(runs[i], 99))} | {Figures.Number(runs[i].Max(run => run[^1]))} "
                + $"| {(i == 0 ? "–" : Figures.Number(median - alone))} |");
        }

        text.AppendLine();
        text.Append("Medians over the rounds, except the longest.");
        return text.ToString();
    }

    private static double Across(List<double[]> runs, int percent)
        => Figures.Median(runs.Select(run => Percentile(run, percent)));

    private static double Percentile(double[] sorted, int percent) => sorted[(sorted.Length - 1) * percent / 100];
}
