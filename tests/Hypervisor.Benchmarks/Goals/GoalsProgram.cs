using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using Hypervisor.Benchmarks.Growth;
using Hypervisor.Benchmarks.Kit;
using Hypervisor.Benchmarks.Network;
using Hypervisor.Benchmarks.Protection;
using Hypervisor.TestKit;
using static Hypervisor.Benchmarks.Figures;

namespace Hypervisor.Benchmarks.Goals;

/// <summary>`goals`: the goals of the design, "Fault tolerance", beside what is measured.</summary>
internal static class GoalsProgram
{
    private const int Drills = 10;
    private const int GrowthMebibytes = 1024, GrowthEpochs = 300, FewPages = 10, ManyPages = 10_000;
    private const int PageBytes = 4096;
    private const string EpochOf10 = "100ms", EpochOf20 = "50ms", EpochOf40 = "25ms";

    // What a pair has to say to each other beside the pages and blocks.
    private const double SentShareMax = 1.5, SentMebibytesBeside = 8;

    private static readonly (string Word, int Repeats)[] s_benchmarks = [("one:gcc", 1), ("one:sqlite", 8), ("fio", 1)];

    /// <summary>
    /// `goals HV LINUX KIT ETCD ROOT [OPTIONS]`: HV is the program, LINUX holds vmlinuz, initrd.gz and disk.img, KIT is
    /// what kit-files.sh made, ETCD is etcd, ROOT the checkout.
    /// </summary>
    public static int Run(ReadOnlySpan<string> words)
        => Measurement.Run("goals", "HV LINUX KIT ETCD ROOT", GoalsOptions.Usage, words, (paths, optionWords) =>
        {
            var options = GoalsOptions.Parse(optionWords);
            return NetworkNamespace.WhyNot() is { } reason
                ? throw new InvalidOperationException($"no network namespace: {reason}")
                : Measure(paths, options, string.Join(' ', optionWords));
        });

    private static int Measure(string[] paths, GoalsOptions options, string command)
    {
        (string hv, string linux, string kit, string etcd, string root) =
            (paths[0], paths[1], paths[2], paths[3], paths[4]);
        var measurement = new Measurement("goals", root);
        string results = measurement.MakeResults();
        string head = BenchmarkHost.Describe(hv);
        List<SpineRow> rows = [];
        foreach (string group in options.Groups)
        {
            Console.Error.WriteLine($"bench goals: {group}");
            try
            {
                rows.AddRange(group switch
                {
                    "pause" => MeasureGrowth(hv, results),
                    "latency" => MeasureLatency(hv, linux, results, options.Rounds),
                    "overhead" => MeasureOverhead(hv, kit, results, options.Rounds),
                    "takeover" => MeasureTakeover(hv),
                    _ => MeasureResync(hv, linux, etcd, results),
                });
            }
            catch (InvalidOperationException error)
            {
                // The others are still worth having.
                rows.Add(new SpineRow(group, "", $"failed: {error.Message}", false));
            }
        }

        string section = measurement.Section(
            "Goals and what is measured",
            command,
            "Primary and standby are on one host. Best seen elsewhere, where the goals come from: pause 3.3 ms (RRC, "
            + "ATC'22); added latency 6 ms (vSphere SMP-FT); overhead 31 % at 10/s, 103 % at 40/s, 10 dirty bytes a "
            + "byte sent, takeover 1 s (Remus).",
            head,
            SpineRow.Table(rows) + "\n\nOverhead: medians of the rounds' ratios, protected to alone, by the "
                + "host's clock and by processor time of the vCPU's thread. Added latency: difference of the "
                + "medians, idle guest. Arbitration on etcd is what `bench takeovers` runs on.");
        measurement.Publish(section, results, options.Report ?? Path.Combine(root, "docs", "protection.md"));
        return rows.Exists(row => row.Measured.StartsWith("failed", StringComparison.Ordinal)) ? 1 : 0;
    }

    private static IEnumerable<SpineRow> MeasureGrowth(string hv, string results)
    {
        GrowthRun few = GrowthRun.Measure(hv, GrowthMebibytes, FewPages, GrowthEpochs, results);
        GrowthRun many = GrowthRun.Measure(hv, GrowthMebibytes, ManyPages, GrowthEpochs, results);
        foreach (GrowthRun run in (GrowthRun[])[few, many])
        {
            yield return new SpineRow(
                Invariant($"pause, {run.Wanted} dirty pages an epoch, p50 / p99"),
                "≤ 0.3 / ≤ 1 ms",
                Invariant($"{run.P50:0.00} / {run.P99:0.00} ms"),
                run.P50 <= 0.3 && run.P99 <= 1);
        }
    }

    private static IEnumerable<SpineRow> MeasureLatency(string hv, string linux, string results, int rounds)
    {
        List<(double[] Tcp, double[] Ping)> alone = [], held = [];
        for (int round = 0; round < rounds; round++)
        {
            alone.Add(LatencyRun.Measure(hv, linux, results, null));
            held.Add(LatencyRun.Measure(hv, linux, results, EpochOf20));
        }

        yield return Row("TCP request and response", run => run.Tcp);
        yield return Row("ping", run => run.Ping);

        SpineRow Row(string what, Func<(double[] Tcp, double[] Ping), double[]> choose)
        {
            double before = Median(alone.Select(run => Median(choose(run))));
            double after = Median(held.Select(run => Median(choose(run))));
            return new SpineRow(
                $"added latency, {what}, median",
                "≤ 3 ms",
                $"{Number(after - before)} ms ({Number(before)} alone, {Number(after)} protected)",
                after - before <= 3);
        }
    }

    private static List<SpineRow> MeasureOverhead(string hv, string kit, string results, int rounds)
    {
        string[] epochs = [EpochOf10, EpochOf20, EpochOf40];
        List<SpineRow> rows = [];
        foreach ((string word, int repeats) in s_benchmarks)
        {
            KitItem item = KitSelection.Parse(word, []).Items[0];
            var runner = new ProtectionRunner(hv, kit, item, results, repeats);
            List<(string? Epoch, ProtectionRun Alone, ProtectionRun Run)> pairs = [];
            for (int round = 1; round <= rounds; round++)
            {
                ProtectionRun alone = runner.Run(null, $"{item.Rows[0]}.alone.r{round}");
                foreach (string epoch in epochs)
                {
                    ProtectionRun run = runner.Run(epoch, $"{item.Rows[0]}.{epoch}.r{round}");
                    pairs.Add((epoch, alone, run));
                    Console.Error.WriteLine(
                        $"{word} {epoch}.r{round}: {Number(run.Seconds)} s, alone {Number(alone.Seconds)} {run.Fault}");
                }
            }

            foreach (string epoch in epochs)
            {
                (string? Epoch, ProtectionRun Alone, ProtectionRun Run)[] good =
                [
                    .. pairs.Where(pair => pair.Epoch == epoch && pair.Alone.Fault is null && pair.Run.Fault is null),
                ];
                rows.Add(OverheadRow(word, epoch, good));
                if (word == "one:gcc" && epoch == EpochOf20 && good.Length > 0)
                {
                    rows.AddRange(RowsOfBuild([.. good.Select(pair => pair.Run)]));
                }
            }

            foreach ((string? epoch, _, ProtectionRun run) in pairs.Where(pair => pair.Run.Fault is not null))
            {
                rows.Add(new SpineRow($"{word}, epochs of {epoch}", "", $"failed: {run.Fault}", false));
            }
        }

        return rows;
    }

    private static SpineRow OverheadRow(
        string word, string epoch, (string? Epoch, ProtectionRun Alone, ProtectionRun Run)[] good)
    {
        double Percent(Func<ProtectionRun, double> figure)
            => 100 * Median(good.Select(pair => (figure(pair.Run) / figure(pair.Alone)) - 1));

        double? goal = (word, epoch) switch { ("one:gcc", EpochOf20) => 5, ("one:gcc", EpochOf40) => 10, _ => null };
        double percent = Percent(run => run.Seconds);
        return new SpineRow(
            $"overhead, {word}, epochs of {epoch}",
            goal is null ? "" : Invariant($"≤ {goal} %"),
            Invariant($"{percent:0.0} % (vCPU {Percent(run => run.VcpuSeconds):0.0} %; ")
                + $"{Number(Median(good.Select(pair => pair.Run.EpochsPerSecond)))} epochs/s, "
                + $"{Number(Median(good.Select(pair => pair.Alone.Seconds)))} s alone)",
            goal is null ? null : percent <= goal);
    }

    private static IEnumerable<SpineRow> RowsOfBuild(ProtectionRun[] runs)
    {
        double p50 = Median(runs.Select(run => run.Pause.Median)), p99 = Median(runs.Select(run => run.Pause.P99));
        double ratio = Median(runs.Select(run => run.DirtyPages * PageBytes / run.BytesPerEpoch));
        yield return new SpineRow(
            "pause, one:gcc, p50 / p99",
            "≤ 0.3 / ≤ 1 ms",
            Invariant($"{p50:0.00} / {p99:0.00} ms"),
            p50 <= 0.3 && p99 <= 1);
        yield return new SpineRow(
            "dirty bytes of RAM a byte sent, one:gcc", "≥ 10", Invariant($"{ratio:0.0}"), ratio >= 10);
    }

    private static IEnumerable<SpineRow> MeasureTakeover(string hv)
    {
        double[] millis = SpineBenchmark.TakeoverMillis(hv, Drills);
        yield return new SpineRow(
            $"SIGKILL of the primary to the first instruction at the standby, {Drills} times",
            "≤ 50 ms",
            Invariant($"median {Median(millis):0} ms, longest {millis.Max():0} ms"),
            Median(millis) <= 50);
    }

    private static IEnumerable<SpineRow> MeasureResync(string hv, string linux, string etcd, string results)
    {
        foreach (int mebibytes in (int[])[4, 32])
        {
            string folder = Path.Combine(results, $"outage.{mebibytes}");
            OutageRun run = OutageRun.Measure(hv, linux, etcd, folder, mebibytes);
            Directory.Delete(folder, recursive: true);
            yield return new SpineRow(
                $"resync after 10 s without a link, {Number(run.ChangedMebibytes)} MiB of disk and RAM changed",
                "proportional to what changed",
                $"{Number(run.SentMebibytes)} MiB sent, {Number(run.Seconds)} s",
                run.SentMebibytes <= (SentShareMax * run.ChangedMebibytes) + SentMebibytesBeside);
        }
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
