using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using Hypervisor.TestKit;

namespace Hypervisor.Benchmarks.Takeovers;

/// <summary>`takeovers`: a guest loses host after host; a client outside notices a pause.</summary>
internal static class TakeoverProgram
{
    /// <summary>
    /// `takeovers HV FILES ROOT [OPTIONS]`: HV is the program, FILES holds vmlinuz, initrd.gz and disk.img, ROOT is the
    /// checkout.
    /// </summary>
    public static int Run(ReadOnlySpan<string> words)
        => Measurement.Run("takeovers", "HV FILES ROOT", TakeoverOptions.Usage, words, (paths, optionWords) =>
        {
            var options = TakeoverOptions.Parse(optionWords);
            return NetworkNamespace.WhyNot() is { } reason
                ? throw new InvalidOperationException($"no network namespace: {reason}")
                : Measure(paths[0], paths[1], paths[2], options, string.Join(' ', optionWords));
        });

    private static int Measure(string hv, string files, string root, TakeoverOptions options, string command)
    {
        var measurement = new Measurement("takeovers", root);
        string results = measurement.MakeResults();
        string head = BenchmarkHost.Describe(hv);
        List<TakeoverRun> runs = [];
        long start = Stopwatch.GetTimestamp();
        string? fault = null;
        using var campaign = new TakeoverCampaign(hv, files, results, options.Seed);
        try
        {
            while (runs.Count < options.Count)
            {
                TakeoverRun run = campaign.Next();
                runs.Add(run);
                Console.Error.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{runs.Count,4} {run.Fault,-4} takeover {run.TakeoverMillis,5:0} ms, client waited "
                    + $"{run.SilenceMillis,5:0} ms, protected again after {run.ProtectionMillis,5:0} ms, "
                    + $"{run.ResidentMebibytes:0} MiB, {campaign.Answered} entries"));
            }

            campaign.Finish();
        }
        catch (InvalidOperationException error)
        {
            fault = error.Message;
        }

        string section = measurement.Section(
            "Takeovers, one after the other",
            command,
            "Two hosts and a client in network namespaces; the client keeps one TCP connection to a server in a Linux "
            + "guest that answers a line once it is on the disk.",
            $"{head}Seed {options.Seed}; {Stopwatch.GetElapsedTime(start).TotalSeconds:0} s.",
            Write(runs, campaign.Answered, fault));
        measurement.Publish(section, results, options.Report ?? Path.Combine(root, "docs", "protection.md"));
        return fault is null ? 0 : 1;
    }

    private static string Write(List<TakeoverRun> runs, long entries, string? fault)
    {
        var text = new StringBuilder();
        text.AppendLine(fault is null
            ? $"{runs.Count} takeovers, {entries} entries: none that was answered is missing, the connection is the "
                + "first one, the last disk is clean."
            : $"FAILED after {runs.Count} takeovers and {entries} entries: {fault}");
        text.AppendLine();
        text.AppendLine("| fault | times | first instruction after, ms | longest | client waited, ms | longest "
            + "| protected again after, ms | longest |");
        text.AppendLine("|---|---|---|---|---|---|---|---|");
        foreach (IGrouping<TakeoverFault, TakeoverRun> group in runs.GroupBy(run => run.Fault).OrderBy(g => g.Key))
        {
            text.AppendLine($"| {group.Key} | {group.Count()} | {Pair(group.Select(run => run.TakeoverMillis))} "
                + $"| {Pair(group.Select(run => run.SilenceMillis))} "
                + $"| {Pair(group.Select(run => run.ProtectionMillis))} |");
        }

        text.AppendLine();
        text.Append("Medians, and the longest. A hang and a cut are found by silence (`--takeover-timeout`, 1 s by "
            + "default), a death by the closed connection. Memory of the primaries, MiB: first "
            + $"{Figures.Number(runs.Count > 0 ? runs[0].ResidentMebibytes : double.NaN)}, last "
            + $"{Figures.Number(runs.Count > 0 ? runs[^1].ResidentMebibytes : double.NaN)}.");
        return text.ToString();
    }

    private static string Pair(IEnumerable<double> millis)
    {
        double[] all = [.. millis];
        return $"{Figures.Number(Figures.Median(all))} | {Figures.Number(all.Max())}";
    }
}
