using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using Hypervisor.TestKit;

namespace Hypervisor.Benchmarks.Takeovers;

/// <summary>`soak`: takeovers under load, and the memory of all processes over time.</summary>
internal static class SoakProgram
{
    private const double WarmUpShareMax = 0.5, WarmUpMinutes = 10;
    private static readonly TimeSpan s_sampleEach = TimeSpan.FromSeconds(5);

    // Beside the database: processor, RAM and disk, without an end. All of the RAM is touched once before: else what
    // grows for an hour is the guest's first use of it.
    private const string Load =
        "head -c 160m /dev/urandom >/tmp/fill; rm /tmp/fill; "
        + "while :; do cat /bin/busybox >/mnt/load; sha256sum /mnt/load >/tmp/sum; sync; done &";

    /// <summary>`soak HV LINUX DATABASE ETCD ROOT [OPTIONS]`: as `database`.</summary>
    public static int Run(ReadOnlySpan<string> words)
        => Measurement.Run(
            "soak", "HV LINUX DATABASE ETCD ROOT", SoakOptions.Usage, words, (paths, optionWords) =>
            {
                var options = SoakOptions.Parse(optionWords);
                return NetworkNamespace.WhyNot() is { } reason
                    ? throw new InvalidOperationException($"no network namespace: {reason}")
                    : Measure(paths, options, string.Join(' ', optionWords));
            });

    private static int Measure(string[] paths, SoakOptions options, string command)
    {
        var measurement = new Measurement("soak", paths[4]);
        string results = measurement.MakeResults();
        string head = BenchmarkHost.Describe(paths[0]);
        var report = new TakeoverReport();
        CampaignGuest guest = DatabaseProgram.Guest(paths[1], paths[2], Load);
        using var campaign = new TakeoverCampaign(paths[0], guest, paths[3], results, options.Seed);
        MemoryTrend[] trends =
        [
            new("primary", () => HvProcess.ResidentMebibytes(campaign.PrimaryId)),
            new("primary: guest RAM", () => HvProcess.GuestRamMebibytes(campaign.PrimaryId)),
            new("standby", () => HvProcess.ResidentMebibytes(campaign.StandbyId)),
            new("standby: guest RAM", () => HvProcess.GuestRamMebibytes(campaign.StandbyId)),
        ];
        using StreamWriter log = new(Path.Combine(results, "memory.tsv")) { AutoFlush = true };
        report.Run(
            campaign,
            next: () =>
            {
                double due = Math.Ceiling(report.Seconds / 60 / options.Every) * options.Every;
                due = Math.Min(due, options.Minutes);
                while (report.Seconds / 60 < due)
                {
                    Thread.Sleep(s_sampleEach);
                    IEnumerable<string> sizes = trends.Select(
                        trend => trend.Sample(report.Seconds / 60).ToString("0.0", CultureInfo.InvariantCulture));
                    log.WriteLine(string.Create(
                        CultureInfo.InvariantCulture, $"{report.Seconds:0}\t{string.Join('\t', sizes)}"));
                }

                return due < options.Minutes;
            },
            results,
            finish: () => DatabaseProgram.Finish(campaign, Path.Combine(paths[2], "sqlite"), results));
        string section = measurement.Section(
            options.Every == 1 ? "An hour, or how long it was" : "A longer life of each process",
            command,
            string.Create(
                CultureInfo.InvariantCulture,
                $"As the database above, with a load on processor, RAM and disk beside it, and a takeover every "
                    + $"{options.Every} min: at a fault's end there are a fresh process as the standby and one that "
                    + $"was it for so long as the primary. Memory is sampled every 5 s; what is not guest RAM there is "
                    + $"the program, its heap and, at the primary, the copy of what the standby has."),
            $"{head}Seed {options.Seed}; {report.Seconds / 60:0} minutes.",
            $"{WriteMemory(trends, report.Seconds / 60)}\n\n"
                + report.Write("no transaction is missing, none is there in part, the last disk is clean"));
        measurement.Publish(section, results, options.Report ?? Path.Combine(paths[4], "docs", "protection.md"));
        return report.Fault is null ? 0 : 1;
    }

    private static string WriteMemory(MemoryTrend[] trends, double minutes)
    {
        double warm = Math.Min(WarmUpMinutes, minutes * WarmUpShareMax);
        double window = Math.Min(WarmUpMinutes, minutes - warm);
        var text = new StringBuilder();
        text.AppendLine(string.Create(
            CultureInfo.InvariantCulture,
            $"| resident memory, MiB | after {warm:0.#} min | last {window:0.#} min | largest "
                + $"| slope after {warm:0.#} min, MiB/h |"));
        text.AppendLine("|---|---|---|---|---|");
        foreach (MemoryTrend trend in trends)
        {
            text.AppendLine(string.Create(
                CultureInfo.InvariantCulture,
                $"| {trend.Name} | {trend.Median(warm, warm + window):0.0} "
                + $"| {trend.Median(minutes - window, minutes):0.0} | {trend.Max():0.0} "
                + $"| {trend.SlopePerHour(warm):0.0} |"));
        }

        return text.ToString().TrimEnd();
    }
}
