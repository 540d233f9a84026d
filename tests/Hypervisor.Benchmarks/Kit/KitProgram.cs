using System;
using System.IO;

namespace Hypervisor.Benchmarks.Kit;

/// <summary>`kit`: this project against QEMU TCG and the bare host, on the guest benchmark kit.</summary>
internal static class KitProgram
{
    /// <summary>
    /// `kit HV KIT CACHE ROOT [OPTIONS]`: HV is the program, KIT the kit's scripts, CACHE what kit-files.sh made,
    /// ROOT the checkout.
    /// </summary>
    public static int Run(ReadOnlySpan<string> words)
        => Measurement.Run("kit", "HV KIT CACHE ROOT", KitOptions.Usage, words, (paths, optionWords) =>
        {
            string cache = paths[2], root = paths[3];
            var kit = new KitPaths(
                paths[0], paths[1], Path.Combine(cache, "kit"), Path.Combine(cache, "kit-tools", "qemu-system-x86_64"));
            var options = KitOptions.Parse(optionWords);
            return Measure(options, Select(options, kit), kit, root, string.Join(' ', optionWords));
        });

    private static KitSelection Select(KitOptions options, KitPaths paths)
    {
        string listing = HostCommand.Output(Path.Combine(paths.Files, "kbench"), "list");
        var selection = KitSelection.Parse(options.What, listing.Split('\n'));
        return options.Scale is { } scale ? selection with { Scale = scale } : selection;
    }

    private static int Measure(
        KitOptions options, KitSelection selection, KitPaths paths, string root, string command)
    {
        var measurement = new Measurement("kit", root);
        string results = measurement.MakeResults(options.Results);
        string head = BenchmarkHost.Describe(paths.Hv);
        var runner = new KitRunner(paths, options, selection, results);
        int first = KitRun.LastNumber(results) + 1;
        for (int number = first; number < first + options.Rounds; number++)
        {
            runner.RunRound(number);
        }

        var report = new KitReport(KitRun.LoadAll(results), selection);
        string text = measurement.Section(
            "Guest benchmark kit",
            command,
            "Measure again before you compare: only figures of one session do.",
            head + Versions(paths, options),
            report.Write());
        string? file = options.Report ?? (options.IsWhole ? measurement.Page : null);
        measurement.Publish(
            text, results, [Path.Combine(results, "report.md"), .. file is null ? (string[])[] : [file]]);
        return report.Faults.Count == 0 ? 0 : 1;
    }

    private static string Versions(KitPaths paths, KitOptions options)
    {
        string qemu = HostCommand.Output(paths.Qemu, "--version").Split('\n')[0];
        string guest = BenchmarkHost.DescribeGuest(paths.Files);
        return $"Engine of hv: {options.Engine ?? "its default"}. {qemu}, `-accel tcg`. Guests: {guest}.";
    }
}
