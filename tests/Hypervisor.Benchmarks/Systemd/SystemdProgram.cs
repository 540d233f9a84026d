using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;

namespace Hypervisor.Benchmarks.Systemd;

/// <summary>`systemd`: a Debian installation to its login prompt, here and under QEMU TCG.</summary>
internal static class SystemdProgram
{
    private const string Usage = "bench systemd [--rounds N]";
    private const int RoundsDefault = 3;
    private const int RoundsMax = 1000;

    /// <summary>
    /// `systemd HV CACHE ROOT [--rounds N]`: HV is the program, CACHE what systemd-files.sh made, ROOT the checkout.
    /// </summary>
    public static int Run(ReadOnlySpan<string> words)
    {
        int rounds = RoundsDefault;
        if (words.Length is not (3 or 5) || (words.Length == 5 && (words[3] != "--rounds"
            || !int.TryParse(words[4], NumberStyles.None, CultureInfo.InvariantCulture, out rounds)
            || rounds is < 1 or > RoundsMax)))
        {
            Console.Error.WriteLine($"bench systemd: allowed is {Usage}, N from 1 to {RoundsMax}");
            return 2;
        }

        try
        {
            return Measure(words[0], words[1], words[2], rounds);
        }
        catch (InvalidOperationException error)
        {
            Console.Error.WriteLine($"bench systemd: {error.Message}");
            return 1;
        }
    }

    private static int Measure(string hv, string cache, string root, int rounds)
    {
        string files = Path.Combine(cache, "systemd");
        string qemu = Path.Combine(cache, "kit-tools", "qemu-system-x86_64");
        string stamp = DateTime.UtcNow.ToString("yyyyMMdd-HHmmss", CultureInfo.InvariantCulture);
        string results = Path.Combine(root, "out", "systemd", stamp);
        _ = Directory.CreateDirectory(results);
        string head = BenchmarkHost.Describe(hv);
        string disk = Path.Combine(files, "work.img");
        List<SystemdBoot> boots = [];
        for (int round = 1; round <= rounds; round++)
        {
            foreach (SystemdTarget target in SystemdTarget.All(hv, qemu, files, disk))
            {
                // The copy is on the disk before the clock starts, so that writing it back costs no machine anything.
                _ = Output("cp", "--sparse=always", Path.Combine(files, "disk.img"), disk);
                _ = Output("sync", disk);
                var boot = SystemdBoot.Run(target);
                boots.Add(boot);
                File.WriteAllText(Path.Combine(results, $"{target.Label}.r{round}.log"), boot.Console);
                Console.Error.WriteLine($"{target.Name} {Figures.Number(boot.Seconds)} s {boot.Fault}");
            }
        }

        File.Delete(disk);
        var report = new SystemdReport(boots);
        string section = $"""
            ## Debian with systemd to its login prompt

            Made by `./run.sh bench systemd --rounds {rounds}`.

            {head}{Versions(qemu, files)} Load average at the end {BenchmarkHost.LoadAverage()}.

            {report.Write()}
            """;
        string page = Path.Combine(root, "docs", "performance.md");
        PerformancePage.Put(page, section);
        Console.WriteLine(section);
        Console.Error.WriteLine($"bench systemd: consoles in {results}, report in {page}");
        return report.Faults.Count == 0 ? 0 : 1;
    }

    private static string Versions(string qemu, string files)
    {
        string[] packages = File.ReadAllLines(Path.Combine(files, "packages"));
        string[] named =
        [
            .. packages.Where(line => line.StartsWith("linux-image-", StringComparison.Ordinal)
                || line.StartsWith("systemd\t", StringComparison.Ordinal)).Select(line => line.Replace('\t', ' ')),
        ];
        return $"{Output(qemu, "--version").Split('\n')[0]}, `-accel tcg`. Guests: debootstrap's minbase with systemd, "
            + "udev, D-Bus and an initramfs of initramfs-tools, "
            + $"{packages.Length} packages, {string.Join(", ", named)}; "
            + "1 vCPU, 1 GiB, ext4 on virtio-blk (`cache=unsafe`), the disk copied afresh for each boot.";
    }

    private static string Output(string program, params string[] words)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, words) { RedirectStandardOutput = true })!;
        string text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0
            ? text
            : throw new InvalidOperationException($"{program} {string.Join(' ', words)} ended with {process.ExitCode}");
    }
}
