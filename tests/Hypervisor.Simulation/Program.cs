using System;
using System.Diagnostics;
using System.Globalization;

namespace Hypervisor.Simulation;

/// <summary>
/// The simulator's command line: <c>--seed S --schedules N [--scrub KIND] [--switch-over] [--trace]</c>.
/// </summary>
internal static class Program
{
    private static int Main(string[] args)
    {
        ulong seed = 1;
        int schedules = 1000;
        var scrubbing = Scrubbing.None;
        bool isTracing = false;
        bool withSwitchOver = false;
        for (int i = 0; i < args.Length; i++)
        {
            switch (args[i])
            {
                case "--seed" when i + 1 < args.Length && ulong.TryParse(args[i + 1], out seed):
                case "--schedules" when i + 1 < args.Length && int.TryParse(args[i + 1], out schedules):
                    i++;
                    break;
                case "--scrub" when i + 1 < args.Length && Enum.TryParse(args[i + 1], ignoreCase: true, out scrubbing):
                    i++;
                    break;
                case "--switch-over":
                    withSwitchOver = true;
                    break;
                case "--trace":
                    isTracing = true;
                    break;
                default:
                    Console.Error.WriteLine($"{args[i]}: usage is --seed NUMBER --schedules NUMBER "
                        + "[--scrub none|sound|decayed] [--switch-over] [--trace]");
                    return 2;
            }
        }

        return isTracing ? Trace(seed, scrubbing, withSwitchOver) : RunAll(seed, schedules, scrubbing, withSwitchOver);
    }

    private static int Trace(ulong seed, Scrubbing scrubbing, bool withSwitchOver)
    {
        RunResult result = Simulator.Run(seed, Console.WriteLine, scrubbing, withSwitchOver);
        Console.WriteLine($"seed {seed}: {(result.Violation?.Message ?? "no violation")}");
        return result.Violation is null ? 0 : 1;
    }

    private static int RunAll(ulong seed, int schedules, Scrubbing scrubbing, bool withSwitchOver)
    {
        Console.WriteLine($"seeds {seed} to {seed + (ulong)schedules - 1}");
        var watch = new Stopwatch();
        watch.Start();
        int failures = 0;
        int takeovers = 0;
        int handedOver = 0;
        ulong epochs = 0;
        long events = 0;
        int scrubs = 0;
        for (int i = 0; i < schedules; i++)
        {
            RunResult result = Simulator.Run(seed + (ulong)i, null, scrubbing, withSwitchOver);
            takeovers += result.TookOver ? 1 : 0;
            handedOver += result.HandedOver ? 1 : 0;
            epochs += result.Epochs;
            events += result.Events;
            scrubs += result.SoundScrubs;
            if (result.Violation is { } violation)
            {
                failures++;
                Console.WriteLine($"seed {result.Seed} ({string.Join(", ", result.Faults)}): {violation.Message}");
                if (failures == 10)
                {
                    break;
                }
            }
        }

        double seconds = watch.Elapsed.TotalSeconds;
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{schedules} schedules, {events} events, {epochs} epochs, {takeovers} takeovers, {scrubs} sound scrubs, "
            + $"{handedOver} handed over, "
            + $"{failures} violations, "
            + $"{seconds:F1} s, {schedules / seconds * 60:F0} schedules a minute"));
        return failures == 0 ? 0 : 1;
    }
}
