using System;
using System.IO;
using Hypervisor.TestKit;

namespace Hypervisor.Benchmarks.Takeovers;

/// <summary>`takeovers`: a guest loses host after host; a client outside notices a pause.</summary>
internal static class TakeoverProgram
{
    private const int LedgerPort = 9;
    private const int DefaultCount = 200;

    /// <summary>
    /// `takeovers HV FILES ETCD ROOT [OPTIONS]`: HV is the program, FILES holds vmlinuz, initrd.gz and disk.img, ETCD
    /// is etcd, ROOT is the checkout.
    /// </summary>
    public static int Run(ReadOnlySpan<string> words)
        => Measurement.Run(
            "takeovers", "HV FILES ETCD ROOT", TakeoverOptions.Usage("takeovers"), words, (paths, optionWords) =>
            {
                var options = TakeoverOptions.Parse("takeovers", DefaultCount, optionWords);
                return NetworkNamespace.WhyNot() is { } reason
                    ? throw new InvalidOperationException($"no network namespace: {reason}")
                    : Measure(paths, options, string.Join(' ', optionWords));
            });

    private static int Measure(string[] paths, TakeoverOptions options, string command)
    {
        var measurement = new Measurement("takeovers", paths[3]);
        string results = measurement.MakeResults();
        string head = BenchmarkHost.Describe(paths[0]);
        var report = new TakeoverReport();
        var guest = new CampaignGuest(
            paths[1], Path.Combine(paths[1], "disk.img"), "net", [], LedgerPort, socket => new LedgerClient(socket),
            options.IsShared);
        using var campaign = new TakeoverCampaign(paths[0], guest, paths[2], results, options.Seed);
        report.Run(campaign, () => report.Takeovers < options.Count, results, () => Finish(campaign));
        string section = measurement.Section(
            options.IsShared ? "Takeovers with a disk that both hosts share" : "Takeovers, one after the other",
            command,
            "Two hosts, a client and etcd as the witness, in four network namespaces on one switch; the client "
                + "keeps one "
            + "TCP connection to a server in a Linux guest that answers a line once it is on the disk. "
            + (options.IsShared ? "The disk is one image that both reach. A hung primary goes on once the standby says "
                + "that it waits for the image's lock. " : "")
            + TakeoverReport.Weather,
            $"{head}Seed {options.Seed}; {report.Seconds:0} s.",
            report.Write(
                "none that was answered is missing, none is there that was not sent, the connection is the "
                    + "first one, no host sent a frame of the guest once it ran on the other, the last disk is clean"));
        measurement.Publish(section, results, options.Report ?? Path.Combine(paths[3], "docs", "protection.md"));
        return report.Fault is null ? 0 : 1;
    }

    // Ends the guest and looks at the disk that it ran from last.
    private static void Finish(TakeoverCampaign campaign)
    {
        campaign.Client.Stop();
        campaign.EndGuest();
        _ = HostCommand.Output("/sbin/e2fsck", "-fn", campaign.Disk);
        string ledger = HostCommand.Output("/sbin/debugfs", "-R", "cat /ledger", campaign.Disk);
        if (((LedgerClient)campaign.Client).FindFault(ledger) is { } fault)
        {
            throw new InvalidOperationException(fault);
        }
    }
}
