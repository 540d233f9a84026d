using System;
using System.Diagnostics;
using System.IO;
using System.Text.Json;
using System.Text.RegularExpressions;
using System.Threading;
using Hypervisor.Benchmarks.Network;

namespace Hypervisor.Benchmarks.Goals;

/// <summary>
/// The standby's cable is pulled for a while, in which the guest goes on alone and writes; what is sent until it is
/// protected again.
/// </summary>
/// <param name="ChangedMebibytes">What the guest wrote: to its disk, and as much to its page cache.</param>
/// <param name="SentMebibytes">From the cable's return until protection.</param>
/// <param name="Seconds">How long that took.</param>
internal sealed partial record OutageRun(double ChangedMebibytes, double SentMebibytes, double Seconds)
{
    private const int Port = 7000, Standby = 1;
    private const double BytesPerMebibyte = 1 << 20;
    private static readonly TimeSpan s_outage = TimeSpan.FromSeconds(10), s_patience = TimeSpan.FromMinutes(2);

    /// <summary>Measures it.</summary>
    /// <param name="hv">The program.</param>
    /// <param name="linux">Folder with vmlinuz, initrd.gz and disk.img.</param>
    /// <param name="etcd">The witness's program.</param>
    /// <param name="folder">For disks and the witness; a new one.</param>
    /// <param name="mebibytes">Size of the file that the guest writes in the outage.</param>
    public static OutageRun Measure(string hv, string linux, string etcd, string folder, int mebibytes)
    {
        _ = Directory.CreateDirectory(folder);
        using var bed = new TestBed();
        bed.AddStorm(Standby, seed: 1);
        string witness = bed.StartWitness(etcd, Path.Combine(folder, "etcd"));
        string control = Path.Combine(folder, "control");
        using HvProcess standby = bed.Start(
            Standby, hv, ["standby", "--listen", $"0.0.0.0:{Port}", "--follow", .. WordsOf(Standby)]);
        _ = standby.WaitFor(HvLines.Listens(), s_patience);
        using HvProcess primary = bed.Start(
            0,
            hv,
            [
                "run", "--standby", $"{TestBed.AddressOf(Standby)}:{Port}", "--control", control, .. WordsOf(0),
                "--kernel", Path.Combine(linux, "vmlinuz"), "--initrd", Path.Combine(linux, "initrd.gz"),
                "--append", "console=ttyS0 quiet panic=-1 hvtest=shell",
            ]);
        _ = primary.WaitFor(HvLines.Booted(), s_patience);
        _ = primary.WaitFor(HvLines.Protected(), s_patience);
        int lines = primary.LineCount;
        long start = Stopwatch.GetTimestamp();
        bed.Pull(Standby);
        _ = primary.WaitFor(HvLines.Alone(), s_patience, lines);
        primary.Type($"dd if=/dev/urandom of=/mnt/changed bs=1M count={mebibytes} && sync && echo CHANGED");
        _ = primary.WaitFor(Changed(), s_patience, lines);
        TimeSpan rest = s_outage - Stopwatch.GetElapsedTime(start);
        Thread.Sleep(rest > TimeSpan.Zero ? rest : TimeSpan.Zero);
        lines = primary.LineCount;
        start = Stopwatch.GetTimestamp();
        bed.SetWeather(Standby, null);
        _ = primary.WaitFor(HvLines.Protected(), s_patience, lines);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        // It counts from the beginning of the link.
        return new OutageRun(2 * mebibytes, SentBytes(hv, control) / BytesPerMebibyte, seconds);

        string[] WordsOf(int host)
        {
            string disk = Path.Combine(folder, $"host{host}.img");
            HostCommand.CopyDisk(Path.Combine(linux, "disk.img"), disk);
            return ["--memory", "256M", "--drive", $"file={disk}", "--insecure", "--witness", witness];
        }
    }

    private static double SentBytes(string hv, string control)
    {
        using var status = JsonDocument.Parse(HostCommand.Output(hv, "status", "--control", control, "--json"));
        return status.RootElement.GetProperty("sentBytes").GetDouble();
    }

    [GeneratedRegex("^CHANGED")]
    private static partial Regex Changed();
}
