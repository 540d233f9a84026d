using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;

namespace Hypervisor.Benchmarks.Kit;

/// <summary>`kit`: this project against QEMU TCG and the bare host, on the guest benchmark kit.</summary>
internal static class KitProgram
{
    /// <summary>
    /// `kit HV KIT CACHE ROOT [OPTIONS]`: HV is the program, KIT the kit's scripts, CACHE what kit-files.sh made,
    /// ROOT the checkout.
    /// </summary>
    public static int Run(ReadOnlySpan<string> words)
    {
        const int PathWords = 4;
        if (words.Length < PathWords)
        {
            Console.Error.WriteLine($"usage: kit HV KIT CACHE ROOT; {KitOptions.Usage}");
            return 2;
        }

        string cache = words[2], root = words[3];
        var paths = new KitPaths(
            words[0], words[1], Path.Combine(cache, "kit"), Path.Combine(cache, "kit-tools", "qemu-system-x86_64"));
        try
        {
            var options = KitOptions.Parse(words[PathWords..]);
            KitSelection selection = Select(options, paths);
            return Measure(options, selection, paths, root, string.Join(' ', words[PathWords..]!));
        }
        catch (FormatException error)
        {
            Console.Error.WriteLine($"bench kit: {error.Message}");
            return 2;
        }
        catch (InvalidOperationException error)
        {
            Console.Error.WriteLine($"bench kit: {error.Message}");
            return 1;
        }
    }

    private static KitSelection Select(KitOptions options, KitPaths paths)
    {
        string listing = Output(Path.Combine(paths.Files, "kbench"), "list");
        var selection = KitSelection.Parse(options.What, listing.Split('\n'));
        return options.Scale is { } scale ? selection with { Scale = scale } : selection;
    }

    private static int Measure(
        KitOptions options, KitSelection selection, KitPaths paths, string root, string command)
    {
        string stamp = DateTime.UtcNow.ToString("yyyyMMdd-HHmmss", CultureInfo.InvariantCulture);
        string results = Path.GetFullPath(options.Results ?? Path.Combine(root, "out", "kit", stamp));
        _ = Directory.CreateDirectory(results);
        string head = BenchmarkHost.Describe(paths.Hv);
        var runner = new KitRunner(paths, options, selection, results);
        int first = KitRun.LastNumber(results) + 1;
        for (int number = first; number < first + options.Rounds; number++)
        {
            runner.RunRound(number);
        }

        var report = new KitReport(KitRun.LoadAll(results), selection);
        string text = $"""
            ## Guest benchmark kit

            Made by `./run.sh bench kit{(command.Length > 0 ? " " + command : "")}`. Measure again before you compare:
            only figures of one session do.

            {head}{Versions(paths, options)} Load average at the end {BenchmarkHost.LoadAverage()}.

            {report.Write()}
            """;
        string? file = options.Report ?? (options.IsWhole ? Path.Combine(root, "docs", "performance.md") : null);
        Console.WriteLine(text);
        List<string> pages = [Path.Combine(results, "report.md"), .. file is null ? (string[])[] : [file]];
        pages.ForEach(page => PerformancePage.Put(page, text));
        Console.Error.WriteLine($"bench kit: results in {results}, report in {pages[^1]}");
        return report.Faults.Count == 0 ? 0 : 1;
    }

    private static string Versions(KitPaths paths, KitOptions options)
    {
        string qemu = Output(paths.Qemu, "--version").Split('\n')[0];
        string kernel = File.ReadLines(Path.Combine(paths.Files, "manifest.txt")).First();
        return $"Engine of hv: {options.Engine ?? "its default"}. {qemu}, `-accel tcg`. Guests: 512 MiB, {kernel}.";
    }

    private static string Output(string program, params string[] words)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, words) { RedirectStandardOutput = true })!;
        string text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return text;
    }
}
