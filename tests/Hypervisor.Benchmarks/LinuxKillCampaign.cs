using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Text.RegularExpressions;
using System.Threading;

namespace Hypervisor.Benchmarks;

/// <summary>
/// A protected Debian guest writes to ext4 in a loop with sync and loses its primary by SIGKILL at a random line; the
/// standby must carry on, the sequence have no hole, and the standby's disk be clean.
/// </summary>
internal static partial class LinuxKillCampaign
{
    private const int LinesAfterKill = 40;
    private const int KillLineMin = 5, KillLineMax = 120;
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(4);

    /// <summary>
    /// `linux-kill HV FILES [COUNT] [SEED]`: HV is the program, FILES holds vmlinuz, initrd.gz, disk.img.
    /// </summary>
    public static int Run(ReadOnlySpan<string> words)
    {
        if (words.Length < 2)
        {
            Console.Error.WriteLine("usage: linux-kill HV FILES [COUNT] [SEED]");
            return 2;
        }

        (string hv, string files) = (words[0], words[1]);
        int count = words.Length > 2 ? int.Parse(words[2], CultureInfo.InvariantCulture) : 20;
        int seed = words.Length > 3 ? int.Parse(words[3], CultureInfo.InvariantCulture) : 1;
        Console.WriteLine($"linux-kill: {count} kills, seed {seed}");
        var random = new Random(seed);
        string folder = Directory.CreateTempSubdirectory("hv-linux-kill-").FullName;
        int failures = 0;
        for (int i = 1; i <= count; i++)
        {
            int killLine = random.Next(KillLineMin, KillLineMax);
            int delayMillis = random.Next(0, 60); // somewhere within an epoch, not at the moment that the line came out
            string? failure = RunOnce(hv, files, folder, killLine, delayMillis, out string note);
            failures += failure is null ? 0 : 1;
            Console.WriteLine($"{i,3}: kill {delayMillis} ms after seq {killLine}: {failure ?? "ok"}; {note}");
        }

        Console.WriteLine(
            $"linux-kill: {count - failures} of {count} survived without a hole, disks clean; seed {seed}");
        Directory.Delete(folder, recursive: true);
        return failures == 0 ? 0 : 1;
    }

    private static string? RunOnce(
        string hv, string files, string folder, int killLine, int delayMillis, out string note)
    {
        string disk = Path.Combine(folder, "disk.img");
        foreach (string old in Directory.GetFileSystemEntries(folder))
        {
            if (Directory.Exists(old))
            {
                Directory.Delete(old, recursive: true);
            }
            else
            {
                File.Delete(old);
            }
        }

        File.Copy(Path.Combine(files, "disk.img"), disk);
        int lines = killLine + LinesAfterKill;
        var start = new ProcessStartInfo(hv)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
        foreach (string word in (string[])[
            "pair", "--kernel", Path.Combine(files, "vmlinuz"), "--initrd", Path.Combine(files, "initrd.gz"),
            "--append", $"console=ttyS0 quiet panic=-1 hvtest=loop hvcount={lines}",
            "--drive", $"file={disk}"])
        {
            start.ArgumentList.Add(word);
        }

        using Process pair = Process.Start(start)!;
        var console = new List<string>();
        int primary = 0;
        string status = "";
        bool isProtected = false;
        long killedAt = 0, runningAt = 0;
        var errors = new Thread(() =>
        {
            while (pair.StandardError.ReadLine() is { } line)
            {
                status += line + "\n";
                Match found = PrimaryProcess().Match(line);
                if (found.Success)
                {
                    Volatile.Write(ref primary, int.Parse(found.Groups[1].Value, CultureInfo.InvariantCulture));
                }

                Match state = PrimaryState().Match(line);
                if (state.Success)
                {
                    Volatile.Write(ref isProtected, state.Groups[1].Value == "Protected");
                }

                if (line.Contains("standby: guest runs", StringComparison.Ordinal))
                {
                    runningAt = Stopwatch.GetTimestamp();
                }
            }
        });
        errors.Start();
        using var killer = new Timer(
            _ => pair.Kill(entireProcessTree: true), null, s_patience, Timeout.InfiniteTimeSpan);
        while (pair.StandardOutput.ReadLine() is { } line)
        {
            console.Add(line);
            Match seen = Sequence().Match(line);
            bool isDue = seen.Success && int.Parse(seen.Groups[1].Value, CultureInfo.InvariantCulture) >= killLine;

            // On a starved host the primary may have gone on alone for a while: nobody would take over then (rule 29).
            if (isDue && killedAt == 0 && Volatile.Read(ref isProtected))
            {
                Thread.Sleep(delayMillis);
                using var victim = Process.GetProcessById(primary);
                killedAt = Stopwatch.GetTimestamp();
                victim.Kill();
            }
        }

        pair.WaitForExit();
        errors.Join();
        double takeover = Stopwatch.GetElapsedTime(killedAt, runningAt).TotalMilliseconds;
        note = killedAt == 0 ? "never protected" : $"takeover seen after {takeover:F0} ms";
        return killedAt == 0 ? "not killed" : FindFailure(console, lines, status, disk + ".standby");
    }

    private static string? FindFailure(List<string> console, int lines, string status, string disk)
    {
        int expected = 1;
        foreach (string line in console)
        {
            Match found = Sequence().Match(line);
            if (found.Success)
            {
                int number = int.Parse(found.Groups[1].Value, CultureInfo.InvariantCulture);
                if (number != expected++)
                {
                    return $"seq {number} came where {expected - 1} was due";
                }
            }
        }

        if (expected != lines + 1)
        {
            return $"the loop ended at {expected - 1} of {lines}; status:\n{status}";
        }

        using Process check = Process.Start(new ProcessStartInfo("/sbin/e2fsck", ["-fn", disk])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        string report = check.StandardOutput.ReadToEnd();
        check.WaitForExit();
        return check.ExitCode == 0 ? null : $"e2fsck says {check.ExitCode}:\n{report}";
    }

    [GeneratedRegex(@"^pair: primary: (\w+)")]
    private static partial Regex PrimaryState();

    [GeneratedRegex(@"primary is process (\d+)")]
    private static partial Regex PrimaryProcess();

    [GeneratedRegex(@"^seq (\d+)\s*$")]
    private static partial Regex Sequence();
}
