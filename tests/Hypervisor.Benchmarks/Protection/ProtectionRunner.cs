using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using Hypervisor.Benchmarks.Kit;
using Hypervisor.Benchmarks.Network;

namespace Hypervisor.Benchmarks.Protection;

/// <summary>Runs the benchmark in a guest, alone or with a standby on this host.</summary>
/// <remarks>
/// The guest waits at a shell until it is told to go on: a protected one until the full copy is over, so that the
/// benchmark's time is that of protection and not of the copy.
/// </remarks>
/// <param name="hv">The program measured.</param>
/// <param name="files">Folder of what the kit's build.sh made.</param>
/// <param name="benchmark">What the guest runs.</param>
/// <param name="results">Folder for disks and logs; the disks are removed again.</param>
/// <param name="repeats">How often in one guest: some are too short for one second's status lines.</param>
internal sealed partial class ProtectionRunner(
    string hv, string files, KitItem benchmark, string results, int repeats = 1)
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(5);

    /// <summary>Runs it once.</summary>
    /// <param name="epoch">Epoch length; null for a guest without a standby.</param>
    /// <param name="name">Of the logs.</param>
    public ProtectionRun Run(string? epoch, string name)
    {
        string folder = Path.Combine(results, "work");
        _ = Directory.CreateDirectory(folder);
        string disk = Path.Combine(files, "disk.img");
        string ours = Path.Combine(folder, "primary.img"), theirs = Path.Combine(folder, "standby.img");
        HostCommand.CopyDisk(disk, ours);
        try
        {
            if (epoch is null)
            {
                return Drive(null, null, ours, [], name);
            }

            HostCommand.CopyDisk(disk, theirs);
            string witness = "file:" + Path.Combine(folder, "witness");
            using HvProcess standby = Start(
                ["standby", "--listen", "127.0.0.1:0", "--drive", $"file={theirs},format=raw", "--witness", witness]);
            string port = standby.WaitFor(HvLines.Listens(), s_patience).Found.Groups["port"].Value;
            return Drive(epoch, standby, ours,
                ["--standby", $"127.0.0.1:{port}", "--witness", witness, "--epoch", epoch], name);
        }
        catch (InvalidOperationException error)
        {
            return ProtectionRun.Broken(epoch, error.Message);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private ProtectionRun Drive(string? epoch, HvProcess? standby, string disk, string[] protection, string name)
    {
        string work = string.Join(',', Enumerable.Repeat(benchmark.Word, repeats));
        using HvProcess guest = Start(
        [
            "run", "--memory", "512M", "--kernel", Path.Combine(files, "vmlinuz"),
            "--initrd", Path.Combine(files, "initrd.gz"),
            "--append", $"console=ttyS0 quiet panic=-1 no_timer_check kb=sh,{work}",
            "--drive", $"file={disk},format=raw,cache=writeback", .. protection,
        ]);
        try
        {
            return Measure(epoch, guest, standby);
        }
        finally
        {
            // Also of a run that broke: there it is needed most.
            IEnumerable<string> log =
                guest.Lines.Concat(standby?.Lines ?? []).Select(line => $"{line.Millis:F1} {line.Text}");
            File.WriteAllLines(Path.Combine(results, name + ".log"), log);
        }
    }

    private ProtectionRun Measure(string? epoch, HvProcess guest, HvProcess? standby)
    {
        int[] processes = standby is null ? [guest.Id] : [guest.Id, standby.Id];
        _ = guest.WaitFor(ReadyLine(), s_patience);
        if (standby is not null)
        {
            _ = guest.WaitFor(ProtectedLine(), s_patience);
        }

        guest.Type("exit");
        double start = guest.WaitFor(new Regex($"START {benchmark.Rows[0]}\\b"), s_patience).Millis;
        var before = ProcessorClock.Read(processes);
        var endLine = new Regex($"END {benchmark.Rows[^1]} 0\\b");
        (double end, int lines) = (start, 0);
        for (int i = 0; i < repeats; i++)
        {
            (_, end, lines) = guest.WaitFor(endLine, s_patience, lines);
        }

        var after = ProcessorClock.Read(processes);
        _ = guest.WaitForEnd(exitCode: 0, s_patience);
        double seconds = (end - start) / 1000;
        double others = after.Busy - before.Busy - (after.Ours - before.Ours);
        var run = new ProtectionRun(epoch, seconds, after.Vcpu - before.Vcpu, Math.Max(0, others / seconds));
        if (standby is not null)
        {
            _ = standby.WaitForEnd(exitCode: 0, s_patience);
            run = run.Read(guest.Lines, start, end);
        }

        return run;
    }

    // Whoever stops the measurement stops the guest.
    private HvProcess Start(string[] words) => new(
        "setpriv", ["--pdeathsig", "KILL", hv, .. words],
        line => !line.StartsWith("hv: full copy", StringComparison.Ordinal));

    [GeneratedRegex("READY disk=ext4")]
    private static partial Regex ReadyLine();

    [GeneratedRegex("^hv: Protected$")]
    private static partial Regex ProtectedLine();
}
