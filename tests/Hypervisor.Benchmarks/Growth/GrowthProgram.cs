using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using static Hypervisor.Benchmarks.Figures;

namespace Hypervisor.Benchmarks.Growth;

/// <summary>`growth`: whether pauses stay as they are when more pages are dirty and when RAM is larger.</summary>
internal static class GrowthProgram
{
    private const int PlainMebibytes = 1024, PlainPages = 1000;
    private const double KibibytesPerMebibyte = 1024;
    private const double SpareMebibytes = 1024; // for everybody else

    /// <summary>`growth HV ROOT [OPTIONS]`: HV is the program, ROOT the checkout.</summary>
    public static int Run(ReadOnlySpan<string> words)
        => Measurement.Run("growth", "HV ROOT", GrowthOptions.Usage, words, (paths, optionWords) =>
            Measure(paths[0], paths[1], GrowthOptions.Parse(optionWords), string.Join(' ', optionWords)));

    private static int Measure(string hv, string root, GrowthOptions options, string command)
    {
        var measurement = new Measurement("growth", root);
        string results = measurement.MakeResults();
        string head = BenchmarkHost.Describe(hv);
        (int Mebibytes, int Pages)[] cells =
        [
            .. options.Pages.Select(pages => (PlainMebibytes, pages)),
            .. options.Mebibytes.Where(size => size != PlainMebibytes || !options.Pages.Contains(PlainPages))
                .Select(size => (size, PlainPages)),
        ];
        List<GrowthRun> runs = [];
        List<string> left = [];
        foreach ((int mebibytes, int pages) in cells)
        {
            double free = FreeMebibytes();
            if (free < (2 * mebibytes) + SpareMebibytes)
            {
                left.Add($"{mebibytes} MiB: only {free:0} MiB are free for two halves");
                continue;
            }

            GrowthRun run = GrowthRun.Measure(hv, mebibytes, pages, options.Epochs, results);
            runs.Add(run);
            Console.Error.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{mebibytes} MiB, {pages} pages: {run.Pages:0} pages, p50 {run.P50} ms, p99 {run.P99} ms, max "
                    + $"{run.Max} ms, {run.EpochsPerSecond:0.0} epochs/s, {run.SentMebibytes:0.0} MiB/s"));
        }

        string section = measurement.Section(
            "Pauses when the guest dirties more and has more RAM",
            command,
            "The counting guest stores to so many pages, spread over half of its RAM, prints a line and rests "
            + $"{GrowthRun.RestMillis} ms: each time one epoch. Primary and standby on this host, over loopback.",
            head,
            Write(runs, left));
        measurement.Publish(section, results, options.Report ?? Path.Combine(root, "docs", "protection.md"));
        return left.Count == 0 ? 0 : 1;
    }

    private static string Write(List<GrowthRun> runs, List<string> left)
    {
        var text = new StringBuilder();
        text.AppendLine("| RAM, MiB | dirty pages wanted | had, on average | epochs | pause p50, ms | p99 | max "
            + "| epochs/s | dirty pages/s | sent, MiB/s |");
        text.AppendLine("|---|---|---|---|---|---|---|---|---|---|");
        foreach (GrowthRun run in runs)
        {
            text.AppendLine(string.Create(
                CultureInfo.InvariantCulture,
                $"| {run.Mebibytes} | {run.Wanted} | {run.Pages:0} | {run.Epochs:0} | {run.P50:0.00} | {run.P99:0.00} "
                + $"| {run.Max:0.00} | {Number(run.EpochsPerSecond)} "
                + $"| {run.EpochsPerSecond * run.Pages:0} | {Number(run.SentMebibytes)} |"));
        }

        text.AppendLine();
        text.Append("A row of many pages has fewer epochs a second because the guest needs its time to store to "
            + "them, and the standby its to take them.");
        foreach (string row in left)
        {
            text.Append(CultureInfo.InvariantCulture, $"\n- LEFT OUT {row}");
        }

        return text.ToString();
    }

    private static double FreeMebibytes()
    {
        string line = File.ReadLines("/proc/meminfo")
            .First(text => text.StartsWith("MemAvailable", StringComparison.Ordinal));
        string kibibytes = line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1];
        return double.Parse(kibibytes, CultureInfo.InvariantCulture) / KibibytesPerMebibyte;
    }
}
