using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;

namespace Hypervisor.Benchmarks.Kit;

/// <summary>Where everything is that a run needs.</summary>
/// <param name="Hv">The program measured.</param>
/// <param name="Kit">Folder of the kit's scripts.</param>
/// <param name="Files">Folder of what the kit's build.sh made.</param>
/// <param name="Qemu">QEMU for x86-64.</param>
internal sealed record KitPaths(string Hv, string Kit, string Files, string Qemu);

/// <summary>Starts one process after the other by the kit's own run.sh, which writes the results.</summary>
internal sealed class KitRunner(KitPaths paths, KitOptions options, KitSelection selection, string results)
{
    private const int BootTimeoutSeconds = 120;
    private const int QuietSeconds = 20; // how long a run waits for the other programs to leave a processor idle

    /// <summary>Runs every target once.</summary>
    public void RunRound(int number)
    {
        foreach (string target in options.Targets)
        {
            if (selection.Items.Count > 0 && target != KitLabels.TcgQ35)
            {
                RunItems(target, number);
            }

            if (selection.Boots && target != KitLabels.Native)
            {
                Start(target + KitLabels.Boot, number, null, Guest(target, "boot", disk: "none", processors: 1));
            }

            if (selection.Pairs && target is KitLabels.Tcg or KitLabels.Ours)
            {
                Start(target + KitLabels.Pair, number, null, Guest(target, "par", disk: "none", processors: 2));
            }
        }
    }

    /// <remarks>A benchmark that hangs or takes the guest down costs itself: the rest runs in a fresh guest.</remarks>
    private void RunItems(string target, int number)
    {
        IReadOnlyList<KitItem> rest = selection.Items;
        for (int part = 1; rest.Count > 0; part++)
        {
            string label = part == 1 ? target : $"{target}~{part}";
            string disk = Path.Combine(paths.Files, target + ".img");
            string[] words = [.. rest.Select(item => item.Word)];
            KitRun run = target == KitLabels.Native
                ? Start(label, number, null, Native(words))
                : Start(label, number, disk, Guest(target, string.Join(',', words), disk, processors: 1));
            if (run.IsDone || run.BootSeconds is null)
            {
                return;
            }

            rest = KitSelection.After(rest, run);
        }
    }

    private string[] Native(string[] words) =>
        [Path.Combine(paths.Kit, "native.sh"), paths.Files, .. words, .. selection.Pairs ? (string[])["par"] : []];

    private string[] Guest(string target, string words, string disk, int processors)
    {
        string[] shared =
        [
            paths.Files, "-k", words, "-d", disk, "-s", processors.ToString(CultureInfo.InvariantCulture),
            "-S", selection.Scale.ToString(CultureInfo.InvariantCulture),
            "-a", "no_timer_check", // Linux counts ticks at boot and panics when a crowded host runs it too rarely
        ];
        string[] engine = options.Engine is { } name ? ["-e", name] : [];
        return target == KitLabels.Ours
            ? [Path.Combine(paths.Kit, "run_hv.sh"), .. shared, .. engine, "-x", "--no-reboot"]
            : [Path.Combine(paths.Kit, "run_qemu.sh"), .. shared, "-M", target];
    }

    private KitRun Start(string label, int number, string? disk, string[] command)
    {
        string patience = options.TimeoutSeconds.ToString(CultureInfo.InvariantCulture);
        long whole = BootTimeoutSeconds + ((selection.Items.Count + 1L) * options.TimeoutSeconds);
        string round = number.ToString(CultureInfo.InvariantCulture);
        string[] prepare = disk is null
            ? []
            : ["--prep", $"cp --sparse=always '{Path.Combine(paths.Files, "disk.img")}' '{disk}' && sync '{disk}'"];
        string[] words =
        [
            Path.Combine(paths.Kit, "run.sh"), "-o", results, "-n", label, "--first", round,
            "-t", whole.ToString(CultureInfo.InvariantCulture), "-s", patience, "-b", $"{BootTimeoutSeconds}",
            "--quiet", $"{QuietSeconds}", .. prepare, "--",
            "setpriv", "--pdeathsig", "KILL", // whoever stops the measurement stops the guest
            .. command,
        ];
        var start = new ProcessStartInfo("bash", words);
        start.Environment["HV"] = paths.Hv;
        start.Environment["QEMU"] = paths.Qemu;
        start.Environment["KBENCH_SCALE"] = selection.Scale.ToString(CultureInfo.InvariantCulture);
        start.Environment["KB_RAW"] = Path.Combine(paths.Files, "native-raw.img");
        using Process process = Process.Start(start)!;
        process.WaitForExit();
        string path = Path.Combine(results, $"{label}.r{round}");
        return File.Exists(path + ".json")
            ? KitRun.Load(path)
            : throw new InvalidOperationException($"{label}: no results; run.sh ended with {process.ExitCode}");
    }
}
