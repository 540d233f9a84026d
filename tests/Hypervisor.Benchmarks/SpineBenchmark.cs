using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading;
using Hypervisor.Benchmarks.Network;
using Hypervisor.CommandLine;
using Hypervisor.Cpu;
using Hypervisor.Machine;
using Hypervisor.Sessions;

namespace Hypervisor.Benchmarks;

/// <summary>
/// The measured rows of the project's promises, taken from the published program as a user starts it, as one table.
/// </summary>
internal static partial class SpineBenchmark
{
    private const int SpeedRuns = 5, BootRuns = 3, StartRuns = 10, Drills = 10;
    private const int ComputeMillions = 300;
    private const int GuestMebibytes = 512;
    private const int PagesPerEpoch = 2000, EpochMillis = 50;
    private const int DebugExitCode = 1; // the guest writes 0: (0 << 1) | 1
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(3);

    /// <summary>`spine HV FILES [ROWS…]`: HV is the program, FILES holds the Linux guest's files.</summary>
    public static int Run(ReadOnlySpan<string> words)
    {
        (string Name, Func<string, string, IEnumerable<SpineRow>> Measure)[] groups =
        [
            ("speed", MeasureSpeed), ("boot", MeasureBoot), ("start", MeasureStart), ("pause", MeasurePause),
            ("memory", MeasureMemory), ("takeover", MeasureTakeover),
        ];
        string[] wanted = words.Length > 2 ? words[2..].ToArray() : [.. groups.Select(group => group.Name)];
        if (words.Length < 2 || wanted.Except(groups.Select(group => group.Name)).Any())
        {
            Console.Error.WriteLine("usage: spine HV FILES [speed|boot|start|pause|memory|takeover …]");
            return 2;
        }

        (string hv, string files) = (words[0], words[1]);
        string head = BenchmarkHost.Describe(hv);
        var rows = new List<SpineRow>();
        foreach ((string name, Func<string, string, IEnumerable<SpineRow>> measure) in groups)
        {
            if (wanted.Contains(name))
            {
                Console.Error.WriteLine($"spine: measuring {name}");
                rows.AddRange(Attempt(name, measure, hv, files));
            }
        }

        Console.WriteLine($"{head}Load average at the end {BenchmarkHost.LoadAverage()}.\n");
        Console.WriteLine(SpineRow.Table(rows));
        return rows.Exists(row => row.Measured.StartsWith("failed", StringComparison.Ordinal)) ? 1 : 0;
    }

    /// <summary>From SIGKILL of the primary to the first instruction at the standby, so many times.</summary>
    public static double[] TakeoverMillis(string hv, int drills)
        => Repeat(drills, () =>
        {
            using var pair = new HvProcess(
                hv, ["pair", "--kill-primary-after", "2s", "--stop-after-takeover", "1s"], _ => true);
            _ = pair.WaitForEnd(0, s_patience);
            return Number(pair.WaitFor(TakeoverLine(), s_patience).Found);
        });

    private static List<SpineRow> Attempt(
        string name, Func<string, string, IEnumerable<SpineRow>> measure, string hv, string files)
    {
        try
        {
            return [.. measure(hv, files)];
        }
        catch (Exception error) when (error is InvalidOperationException or IOException)
        {
            return [new SpineRow(name, "", $"failed: {error.Message}", false)]; // the other rows are still worth having
        }
    }

    private static IEnumerable<SpineRow> MeasureSpeed(string hv, string files)
    {
        const double GoalMillions = 50;
        foreach (string engine in (string[])["interpreter", "translator"])
        {
            double[] compute = Repeat(SpeedRuns, () =>
            {
                using HvProcess run = Compute(hv, ComputeMillions, engine);
                double begin = run.WaitFor(ComputeLine(), s_patience).Millis;
                return ComputeMillions * 1000.0 / (run.WaitFor(DoneLine(), s_patience).Millis - begin);
            });
            yield return AtLeast(
                $"{engine}: guest instructions a second, compute guest, median of 5", GoalMillions, compute);
        }

        double[] counting = Repeat(SpeedRuns, CountingMillions);
        yield return AtLeast(
            "interpreter: guest instructions a second, counting guest, median of 5", GoalMillions, counting);
    }

    private static IEnumerable<SpineRow> MeasureBoot(string hv, string files)
    {
        foreach (string engine in (string[])["interpreter", "translator"])
        {
            double[] seconds = Repeat(BootRuns, () =>
            {
                using var run = new HvProcess(
                    hv, ["linux", "--files", files, "--snapshot", "--engine", engine], _ => true);
                return run.WaitFor(BootedLine(), s_patience).Millis / 1000;
            });
            yield return AtMost(
                $"{engine}: Debian kernel, process start to shell, median of 3", 45, Median(seconds), "s", seconds);
        }
    }

    private static IEnumerable<SpineRow> MeasureStart(string hv, string files)
    {
        var first = new List<double>();
        double[] whole = Repeat(StartRuns, () =>
        {
            using HvProcess run = Compute(hv, 0, "translator");
            double millis = run.WaitForEnd(DebugExitCode, s_patience);
            first.Add(run.WaitFor(ComputeLine(), s_patience).Millis / 1000);
            return millis / 1000;
        });
        yield return AtMost(
            "process start to the guest's first line (bounds its first instruction), median of 10",
            0.3, Median(first), "s", [.. first]);
        yield return AtMost(
            "process start to the process end of a guest without work, median of 10",
            0.3, Median(whole), "s", whole);
    }

    /// <remarks>The guest's pages per step are adjusted by trial until an epoch has about as many as wanted.</remarks>
    private static IEnumerable<SpineRow> MeasurePause(string hv, string files)
    {
        const int Trials = 3, TrialSteps = 1500, EpochsWanted = 600;
        int dirty = PagesPerEpoch / 20;
        double stepsPerEpoch = 1;
        for (int trial = 0; trial < Trials; trial++)
        {
            using HvProcess pair = PacedPair(hv, dirty, TrialSteps);
            Match numbers = pair.WaitFor(HvLines.Pauses(), s_patience).Found;
            double pages = Number(numbers, "pages");
            stepsPerEpoch = Math.Max(0.1, pages / dirty);
            if (Math.Abs(pages - PagesPerEpoch) < PagesPerEpoch / 20)
            {
                break;
            }

            dirty = Math.Clamp((int)(dirty * PagesPerEpoch / Math.Max(1, pages)), 10, PagesPerEpoch);
        }

        using HvProcess run = PacedPair(hv, dirty, (int)(stepsPerEpoch * EpochsWanted));
        Match found = run.WaitFor(HvLines.Pauses(), s_patience).Found;
        string what = $"pause, {EpochMillis} ms epochs, {found.Groups["pages"]} dirty pages an epoch, "
            + $"{found.Groups["epochs"]} epochs";
        yield return AtMost($"{what}: p50", 1, Number(found, "p50"), "ms");
        yield return AtMost($"{what}: p99", 5, Number(found, "p99"), "ms");
        yield return new SpineRow($"{what}: max", "", $"{found.Groups["max"]} ms", null);
        yield return new SpineRow("p99 of each part of the pause, ms", "", found.Groups["parts"].Value, null);
    }

    private static IEnumerable<SpineRow> MeasureMemory(string hv, string files)
    {
        const double Goal = (GuestMebibytes * 2) + 200;
        (string Name, string Words)[] guests =
        [
            ("main job's guest", "pace=1000 end=off steps=3000"),
            ("guest that wrote 430 MiB", "disk=off area=110000 dirty=1000 pace=10000 end=off steps=300"),
        ];
        foreach ((string name, string words) in guests)
        {
            using var pair = new HvProcess(hv, Pair(words), line => !StepLine().IsMatch(line));
            Match ids = pair.WaitFor(ProcessesLine(), s_patience).Found;
            double primary = 0, standby = 0;
            while (!pair.HasEnded)
            {
                primary = Math.Max(primary, HvProcess.PeakMebibytes((int)Number(ids, "primary")));
                standby = Math.Max(standby, HvProcess.PeakMebibytes((int)Number(ids, "standby")));
                Thread.Sleep(20);
            }

            _ = pair.WaitForEnd(0, s_patience);
            yield return AtMost($"peak memory of the primary, {GuestMebibytes} MiB {name}", Goal, primary, "MiB");
            yield return AtMost($"peak memory of the standby, {GuestMebibytes} MiB {name}", Goal, standby, "MiB");
        }
    }

    private static IEnumerable<SpineRow> MeasureTakeover(string hv, string files)
    {
        double[] millis = TakeoverMillis(hv, Drills);
        yield return new SpineRow(
            "SIGKILL of the primary to the standby's first guest instruction, 10 drills", "",
            string.Create(
                CultureInfo.InvariantCulture, $"median {Median(millis):0} ms, max {millis.Max():0} ms"), null);
    }

    // In this process: only the machine itself knows how many instructions ran.
    private static double CountingMillions()
    {
        var config = new MachineConfig
        {
            Kernel = EmbeddedGuests.Open(EmbeddedGuests.Counting),
            CommandLine = "disk=off",
            Engine = ExecutionEngine.Interpreter,
            RtcStart = DateTime.UnixEpoch,
            Serials = [new SerialConfig(SerialKind.Null)],
        };
        using var guest = new GuestMachine(config, SerialStreams.Open(config.Serials, _ => { }));
        guest.Start();
        Thread.Sleep(1500); // past the start and the compilation of what is hot
        ulong before = guest.InstructionCount;
        long began = Stopwatch.GetTimestamp();
        Thread.Sleep(2000);
        return (guest.InstructionCount - before) / Stopwatch.GetElapsedTime(began).TotalMicroseconds;
    }

    private static HvProcess Compute(string hv, int millions, string engine) => new(
        hv,
        ["run", "--guest", "compute", "--append", $"steps={millions}", "--debug-exit", "--engine", engine],
        _ => true);

    private static HvProcess PacedPair(string hv, int dirty, int steps) => new(
        hv,
        [
            .. Pair($"disk=off area=16384 dirty={dirty} pace=1000 end=off steps={steps}"),
            "--epoch", $"{EpochMillis}ms",
        ],
        line => !StepLine().IsMatch(line));

    private static string[] Pair(string words)
        => ["pair", "--guest", "counting", "--memory", $"{GuestMebibytes}M", "--append", words];

    private static double[] Repeat(int count, Func<double> measure)
    {
        double[] results = new double[count];
        for (int i = 0; i < count; i++)
        {
            results[i] = measure();
        }

        return results;
    }

    private static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    private static SpineRow AtLeast(string what, double goal, double[] runs) => new(
        what,
        $"≥ {goal:0} M",
        string.Create(CultureInfo.InvariantCulture, $"{Median(runs):0.0} M ({runs.Min():0.0} to {runs.Max():0.0})"),
        Median(runs) >= goal);

    private static SpineRow AtMost(string what, double goal, double value, string unit, double[]? runs = null) => new(
        what,
        string.Create(CultureInfo.InvariantCulture, $"≤ {goal} {unit}"),
        string.Create(CultureInfo.InvariantCulture, $"{value:0.##} {unit}")
            + (runs is null ? "" : string.Create(
                CultureInfo.InvariantCulture, $" ({runs.Min():0.##} to {runs.Max():0.##})")),
        value <= goal);

    private static double Number(Match match, string group = "number")
        => double.Parse(match.Groups[group].Value, CultureInfo.InvariantCulture);

    [GeneratedRegex("^compute \\d+ million")]
    private static partial Regex ComputeLine();

    [GeneratedRegex("^done")]
    private static partial Regex DoneLine();

    [GeneratedRegex("^step \\d+")]
    private static partial Regex StepLine();

    [GeneratedRegex("BOOTED")]
    private static partial Regex BootedLine();

    [GeneratedRegex("primary is process (?<primary>\\d+), standby is process (?<standby>\\d+)")]
    private static partial Regex ProcessesLine();

    [GeneratedRegex("from the kill to the first guest instruction\\s+(?<number>[\\d.]+) ms")]
    private static partial Regex TakeoverLine();
}
