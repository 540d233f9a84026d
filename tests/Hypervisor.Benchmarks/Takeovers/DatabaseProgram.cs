using System;
using System.IO;
using Hypervisor.TestKit;

namespace Hypervisor.Benchmarks.Takeovers;

/// <summary>`database`: a database in a guest that loses host after host.</summary>
internal static class DatabaseProgram
{
    private const int Port = 5432;
    private const int DefaultCount = 50;

    // In the guest's shell: the disk is on /mnt, busybox in /bin.
    private static readonly string[] s_typed =
    [
        "echo '#!/bin/sh' >/tmp/serve",
        "echo 'exec chroot /mnt /usr/bin/sqlite3 -batch -interactive /bank.db 2>&1' >>/tmp/serve",
        "chmod +x /tmp/serve",
        $"nc -ll -p {Port} -e /tmp/serve &",
        $"until grep -q :{Port:X4} /proc/net/tcp /proc/net/tcp6; do sleep 0.1; done", // a load beside it is quicker
        "echo NET-READY",
    ];

    /// <summary>
    /// `database HV LINUX DATABASE ETCD ROOT [OPTIONS]`: HV is the program, LINUX holds vmlinuz and initrd.gz, DATABASE
    /// is what database-files.sh made, ETCD is etcd, ROOT the checkout.
    /// </summary>
    public static int Run(ReadOnlySpan<string> words)
        => Measurement.Run(
            "database", "HV LINUX DATABASE ETCD ROOT", TakeoverOptions.Usage("database"), words, (paths, optionWords) =>
            {
                var options = TakeoverOptions.Parse("database", DefaultCount, optionWords);
                return NetworkNamespace.WhyNot() is { } reason
                    ? throw new InvalidOperationException($"no network namespace: {reason}")
                    : Measure(paths, options, string.Join(' ', optionWords));
            });

    /// <summary>The guest with the database.</summary>
    /// <param name="linux">Folder with vmlinuz and initrd.gz.</param>
    /// <param name="database">What database-files.sh made.</param>
    /// <param name="typed">What its shell is told before.</param>
    public static CampaignGuest Guest(string linux, string database, params string[] typed) => new(
        linux,
        Path.Combine(database, "disk.img"),
        "shell",
        [.. typed, .. s_typed],
        Port,
        socket => new DatabaseClient(socket));

    /// <summary>Ends a campaign as a power cut of both hosts would, and looks at the last disk.</summary>
    /// <exception cref="InvalidOperationException">Something is not there, or not whole.</exception>
    public static void Finish(TakeoverCampaign campaign, string sqlite, string results)
    {
        campaign.Client.Stop();
        string? fault = ((DatabaseClient)campaign.Client).FindFault();
        campaign.KillBoth();
        fault ??= FindFault(campaign.Disk, sqlite, Path.Combine(results, "outside"), campaign.Client.Answered);
        if (fault is not null)
        {
            throw new InvalidOperationException(fault);
        }
    }

    private static int Measure(string[] paths, TakeoverOptions options, string command)
    {
        var measurement = new Measurement("database", paths[4]);
        string results = measurement.MakeResults();
        string head = BenchmarkHost.Describe(paths[0]);
        string sqlite = Path.Combine(paths[2], "sqlite");
        var report = new TakeoverReport();
        CampaignGuest guest = Guest(paths[1], paths[2]);
        using var campaign = new TakeoverCampaign(paths[0], guest, paths[3], results, options.Seed);
        report.Run(
            campaign, () => report.Takeovers < options.Count, results, () => Finish(campaign, sqlite, results));
        string section = measurement.Section(
            "A database in a guest that loses host after host",
            command,
            "As above, with SQLite of Debian's packages in the guest (`synchronous=FULL`, write-ahead log, ext4): each "
            + "entry is a transaction over three rows of two tables, its answer the highest entry and the sum of all "
            + "accounts. At the end both hosts are killed, and the last one's disk is looked at by itself.",
            $"{head}Seed {options.Seed}; {report.Seconds:0} s.",
            report.Write(
                "no transaction that was answered is missing, none is there in part, `PRAGMA integrity_check` is clean "
                + "in the guest and on the last disk outside of it, whose file system is clean after its journal's "
                + "replay"));
        measurement.Publish(section, results, options.Report ?? Path.Combine(paths[4], "docs", "protection.md"));
        return report.Fault is null ? 0 : 1;
    }

    // The disk as it was left: the file system's journal is replayed by mounting it, the database's by opening it.
    private static string? FindFault(string disk, string sqlite, string folder, long answered)
    {
        _ = Directory.CreateDirectory(folder);
        _ = HostCommand.Output("mount", "-o", "loop", disk, folder);
        try
        {
            string database = Path.Combine(folder, "bank.db");
            string integrity = HostCommand.Output(sqlite, database, "PRAGMA integrity_check;").Trim();
            string found = HostCommand.Output(
                sqlite,
                database,
                "SELECT count(*)||' '||max(id)||' '||(SELECT sum(balance) FROM account) FROM ledger;").Trim();
            string wanted = $"{answered} {answered} {DatabaseClient.Total}";
            return integrity != "ok" ? $"on the last disk integrity_check says '{integrity}'"
                : found != wanted ? $"the last disk has '{found}', which should be '{wanted}'"
                : null;
        }
        finally
        {
            _ = HostCommand.Output("umount", folder);
            _ = HostCommand.Output("/sbin/e2fsck", "-fn", disk);
        }
    }
}
