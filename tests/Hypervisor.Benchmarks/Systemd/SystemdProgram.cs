using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;

namespace Hypervisor.Benchmarks.Systemd;

/// <summary>`systemd`: a Debian installation to its login prompt, here and under QEMU TCG.</summary>
internal static class SystemdProgram
{
    private const string Usage = "bench systemd [--rounds N]";
    private const int RoundsDefault = 3;

    /// <summary>
    /// `systemd HV CACHE ROOT [--rounds N]`: HV is the program, CACHE what systemd-files.sh made, ROOT the checkout.
    /// </summary>
    public static int Run(ReadOnlySpan<string> words)
        => Measurement.Run("systemd", "HV CACHE ROOT", Usage, words, (paths, optionWords) => Measure(
            paths[0], paths[1], paths[2], ParseRounds(optionWords)));

    private static int ParseRounds(string[] words)
    {
        int rounds = RoundsDefault;
        foreach ((string name, string value) in OptionWords.Pairs(words, Usage))
        {
            rounds = name == "--rounds"
                ? OptionWords.Rounds(name, value, min: 1)
                : throw new FormatException($"unknown {name}; usage: {Usage}");
        }

        return rounds;
    }

    private static int Measure(string hv, string cache, string root, int rounds)
    {
        string files = Path.Combine(cache, "systemd");
        string qemu = Path.Combine(cache, "kit-tools", "qemu-system-x86_64");
        var measurement = new Measurement("systemd", root);
        string results = measurement.MakeResults();
        string head = BenchmarkHost.Describe(hv);
        string disk = Path.Combine(files, "work.img");
        List<SystemdBoot> boots = [];
        for (int round = 1; round <= rounds; round++)
        {
            foreach (SystemdTarget target in SystemdTarget.All(hv, qemu, files, disk))
            {
                HostCommand.CopyDisk(Path.Combine(files, "disk.img"), disk);
                var boot = SystemdBoot.Run(target);
                boots.Add(boot);
                File.WriteAllText(Path.Combine(results, $"{target.Label}.r{round}.log"), boot.Console);
                Console.Error.WriteLine($"{target.Name} {Figures.Number(boot.Seconds)} s {boot.Fault}");
            }
        }

        File.Delete(disk);
        var report = new SystemdReport(boots);
        string section = measurement.Section(
            "Debian with systemd to its login prompt",
            $"--rounds {rounds}",
            "",
            head + Versions(qemu, files),
            report.Write());
        measurement.Publish(section, results, measurement.Page);
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
        return $"{HostCommand.Output(qemu, "--version").Split('\n')[0]}, `-accel tcg`. "
            + "Guests: debootstrap's minbase with systemd, udev, D-Bus and an initramfs of initramfs-tools, "
            + $"{packages.Length} packages, {string.Join(", ", named)}; "
            + "1 vCPU, 1 GiB, ext4 on virtio-blk (`cache=unsafe`), the disk copied afresh for each boot.";
    }
}
