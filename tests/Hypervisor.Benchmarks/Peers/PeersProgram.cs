using System;
using System.Collections.Generic;
using System.IO;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading;
using Hypervisor.Benchmarks.Network;

namespace Hypervisor.Benchmarks.Peers;

/// <summary>`peers`: what QEMU can do of the same kind, on this machine, beside this project.</summary>
internal static class PeersProgram
{
    private const int Drills = 5;
    private const string Epoch = "50ms";
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(2);

    // From the design, "What the best of today reach".
    private const string Published = """
        Published, on other machines, with hardware virtualization: pauses of RRC < 3.3 ms mean (ATC'22), of QEMU COLO
        under load 14 ms mean, 31 ms p99; added latency of vSphere SMP-FT about 6 ms; overhead of Remus 31 % at 10
        checkpoints a second and 103 % at 40, of VM-µCheckpoint 6.3 % locally; takeover of Remus about 1 s, of VMware FT
        "a few seconds".
        """;

    /// <summary>
    /// `peers HV KIT FILES QEMU ROOT [OPTIONS]`: HV is the program, KIT the kit's scripts, FILES what its build.sh
    /// made, QEMU qemu-system-x86_64, ROOT the checkout.
    /// </summary>
    public static int Run(ReadOnlySpan<string> words)
        => Measurement.Run("peers", "HV KIT FILES QEMU ROOT", PeersOptions.Usage, words, (paths, optionWords) =>
            Measure(paths, PeersOptions.Parse(optionWords), string.Join(' ', optionWords)));

    private static int Measure(string[] paths, PeersOptions options, string command)
    {
        (string hv, string kit, string files, string qemu, string root) =
            (paths[0], paths[1], paths[2], paths[3], paths[4]);
        var measurement = new Measurement("peers", root);
        string results = measurement.MakeResults();
        string head = BenchmarkHost.Describe(hv);
        string version = HostCommand.Output(qemu, "--version").Split('\n')[0];
        var peer = new QemuPeer(kit, files, qemu, Path.Combine(results, "qemu"));
        var text = new StringBuilder();
        text.AppendLine("| load of the guest | here: pause p50 / p99 / max, a checkpoint | QEMU, migration: pause "
            + "| QEMU, COLO: pause p50 / p95 / max, a checkpoint |");
        text.AppendLine("|---|---|---|---|");
        foreach (string load in options.Loads)
        {
            string row = $"| {load} | {Protect(hv, files, results, load, options.Seconds)} | {peer.Migrate(load)} "
                + $"| {peer.Colo(load, options.Seconds)} |";
            Console.Error.WriteLine(row);
            text.AppendLine(row);
        }

        double[] takeovers = SpineBenchmark.TakeoverMillis(hv, Drills);
        text.AppendLine();
        text.AppendLine($"Takeover here, from SIGKILL to the first instruction at the standby: median "
            + $"{Figures.Number(Figures.Median(takeovers))} ms of {Drills}. A migration needs its source alive to the "
            + "end; after a crash there is nothing to carry on.");
        text.AppendLine();
        text.Append(Published.ReplaceLineEndings(" "));
        string section = measurement.Section(
            "Beside QEMU on this machine",
            command,
            "The kit's guest and loads, all by emulation. Migration moves the guest once, over loopback; COLO makes a "
            + "checkpoint every 50 ms, without a disk and without comparing packets (the kit's `ft/colo.py`); here "
            + $"epochs of {Epoch}, with the disk.",
            $"{head}{version}, `-accel tcg -M q35`. Guests: 1 vCPU, {BenchmarkHost.DescribeGuest(files)}.",
            text.ToString());
        measurement.Publish(section, results, options.Report ?? Path.Combine(root, "docs", "protection.md"));
        return 0;
    }

    private static string Protect(string hv, string files, string results, string load, double seconds)
    {
        string folder = Path.Combine(results, "work");
        _ = Directory.CreateDirectory(folder);
        try
        {
            Match pauses = Pauses(hv, files, folder, load, seconds);
            return $"{pauses.Groups["p50"]} / {pauses.Groups["p99"]} / {pauses.Groups["max"]} ms of "
                + $"{pauses.Groups["epochs"]}, {pauses.Groups["pages"]} dirty pages each";
        }
        catch (InvalidOperationException error)
        {
            return $"failed: {error.Message.Split('\n')[0]}";
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static Match Pauses(string hv, string files, string folder, string load, double seconds)
    {
        using HvProcess standby = Start(hv, ["standby", "--listen", "127.0.0.1:0", .. WordsOf("standby")]);
        string port = standby.WaitFor(HvLines.Listens(), s_patience).Found.Groups["port"].Value;
        using HvProcess primary = Start(
            hv,
            [
                "run", "--standby", $"127.0.0.1:{port}", "--epoch", Epoch, .. WordsOf("primary"),
                "--kernel", Path.Combine(files, "vmlinuz"), "--initrd", Path.Combine(files, "initrd.gz"),
                "--append", $"console=ttyS0 quiet panic=-1 no_timer_check kb={load}",
            ]);
        _ = primary.WaitFor(HvLines.Protected(), s_patience);
        Thread.Sleep(TimeSpan.FromSeconds(seconds));
        primary.Signal("TERM");
        return primary.WaitFor(HvLines.Pauses(), s_patience).Found;

        List<string> WordsOf(string half)
        {
            string disk = Path.Combine(folder, half + ".img");
            HostCommand.CopyDisk(Path.Combine(files, "disk.img"), disk);
            return
            [
                "--memory", "512M", "--drive", $"file={disk},format=raw,cache=writeback",
                "--witness", "file:" + Path.Combine(folder, "witness"),
            ];
        }
    }

    private static HvProcess Start(string hv, string[] words) => new(
        "setpriv", ["--pdeathsig", "KILL", hv, .. words],
        line => line.StartsWith("hv:", StringComparison.Ordinal)
            && !line.StartsWith("hv: full copy", StringComparison.Ordinal));
}
