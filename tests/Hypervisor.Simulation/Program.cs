using System;
using System.Diagnostics;
using System.Globalization;

namespace Hypervisor.Simulation;

/// <summary>
/// The simulator's command line:
/// <c>--seed S --schedules N [--scrub KIND] [--switch-over] [--with EXTRAS] [--trace]</c>.
/// </summary>
internal static class Program
{
    private static int Main(string[] args)
    {
        ulong seed = 1;
        int schedules = 1000;
        var scrubbing = Scrubbing.None;
        bool isTracing = false;
        var extras = Extras.None;
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
                    extras |= Extras.SwitchOver;
                    break;
                case "--with" when i + 1 < args.Length && Enum.TryParse(args[i + 1], ignoreCase: true, out Extras more):
                    extras |= more;
                    i++;
                    break;
                case "--trace":
                    isTracing = true;
                    break;
                default:
                    Console.Error.WriteLine($"{args[i]}: usage is --seed NUMBER --schedules NUMBER "
                        + "[--scrub none|sound|decayed] [--switch-over] "
                        + $"[--with {string.Join(',', Enum.GetNames<Extras>()[1..]).ToLowerInvariant()}] [--trace]");
                    return 2;
            }
        }

        return isTracing ? Trace(seed, scrubbing, extras) : RunAll(seed, schedules, scrubbing, extras);
    }

    private static int Trace(ulong seed, Scrubbing scrubbing, Extras extras)
    {
        RunResult result = Simulator.Run(seed, Console.WriteLine, scrubbing, extras);
        Console.WriteLine($"seed {seed}: {(result.Violation?.Message ?? "no violation")}");
        return result.Violation is null ? 0 : 1;
    }

    private static string FirstLines(string text) => text.Length < 400 ? text : text[..400];

    private static int RunAll(ulong seed, int schedules, Scrubbing scrubbing, Extras extras)
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
        int returned = 0;
        int doubtsEnded = 0;
        int doubtsConfirmed = 0;
        for (int i = 0; i < schedules; i++)
        {
            RunResult result = Simulator.Run(seed + (ulong)i, null, scrubbing, extras);
            takeovers += result.TookOver ? 1 : 0;
            handedOver += result.HandedOver ? 1 : 0;
            epochs += result.Epochs;
            events += result.Events;
            scrubs += result.SoundScrubs;
            returned += result.Returned;
            doubtsEnded += result.DoubtsEnded;
            doubtsConfirmed += result.DoubtsConfirmed;
            if (result.Violation is { } violation)
            {
                failures++;
                string faults = string.Join(", ", result.Faults);
                Console.WriteLine($"seed {result.Seed} ({faults}): {FirstLines(violation.Message)}");
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
            + $"{handedOver} handed over, {doubtsEnded} doubts ended, {doubtsConfirmed} confirmed, "
            + $"{returned} returned, "
            + $"{failures} violations, "
            + $"{seconds:F1} s, {schedules / seconds * 60:F0} schedules a minute"));
        return failures == 0 ? 0 : 1;
    }
}
