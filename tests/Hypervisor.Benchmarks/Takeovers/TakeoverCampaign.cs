using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Threading;
using Hypervisor.Benchmarks.Network;

namespace Hypervisor.Benchmarks.Takeovers;

/// <summary>
/// A guest that goes from host to host: its primary is lost in one way or another, the standby takes over, the host
/// that was lost comes back as a standby, and so on, while a client keeps one connection.
/// </summary>
internal sealed class TakeoverCampaign : IDisposable
{
    private const int Port = 7000;
    private const int LedgerPort = 9, EndPort = 99;
    private const int EntriesBetween = 5;
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(2);

    private readonly string _hv;
    private readonly string _folder;
    private readonly Random _random;
    private readonly TestBed _bed = new();
    private readonly HvProcess[] _hosts = new HvProcess[2];
    private readonly LedgerClient? _client;
    private int _primary;

    /// <summary>Starts a protected guest and the client.</summary>
    /// <param name="hv">The program.</param>
    /// <param name="files">Folder with vmlinuz, initrd.gz and disk.img.</param>
    /// <param name="folder">Where disks and the witness go.</param>
    /// <param name="seed">Seed of the faults.</param>
    public TakeoverCampaign(string hv, string files, string folder, int seed)
    {
        _hv = hv;
        _folder = folder;
        _random = new Random(seed);
        for (int host = 0; host < 2; host++)
        {
            File.Copy(Path.Combine(files, "disk.img"), DiskOf(host), overwrite: true);
        }

        _hosts[1] = StartStandby(1);
        _hosts[0] = _bed.Start(
            0,
            hv,
            [
                "run", "--standby", $"{TestBed.AddressOf(1)}:{Port}", .. WordsOf(0),
                "--kernel", Path.Combine(files, "vmlinuz"), "--initrd", Path.Combine(files, "initrd.gz"),
                "--append", $"console=ttyS0 quiet panic=-1 hvtest=net hvnet={TestBed.Guest}/24",
            ]);
        _ = _hosts[0].WaitFor(HvLines.Protected(), s_patience);
        _ = _hosts[0].WaitFor(HvLines.Ready(), s_patience);
        _client = new LedgerClient(_bed.Connect(LedgerPort));
    }

    /// <summary>Entries that were answered so far.</summary>
    public long Answered => _client!.Answered;

    /// <summary>Loses the primary once, and has the guest protected again.</summary>
    /// <exception cref="InvalidOperationException">Something that must hold does not.</exception>
    public TakeoverRun Next()
    {
        AwaitEntries();
        Thread.Sleep(_random.Next(0, 1000));
        HvProcess old = _hosts[_primary], next = _hosts[1 - _primary];
        var fault = (TakeoverFault)_random.Next(4); // two in four are kills
        _ = _client!.TakeLongestMillis();
        long start = Stopwatch.GetTimestamp();
        switch (fault)
        {
            case TakeoverFault.Hang:
                old.Signal("STOP");
                break;
            case TakeoverFault.Cut:
                _bed.SetCable(_primary, isPlugged: false);
                break;
            default:
                fault = TakeoverFault.Kill;
                old.Kill();
                break;
        }

        _ = next.WaitFor(HvLines.Running(), s_patience);
        double takeover = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        AwaitEntries();
        double silence = _client.TakeLongestMillis();
        if (fault != TakeoverFault.Kill)
        {
            // It comes to itself, or hears of the world again, and must give way.
            old.Signal("CONT");
            _bed.SetCable(_primary, isPlugged: true);
            _ = old.WaitFor(HvLines.Demoted(), s_patience);
            AwaitEntries();
            old.Kill();
        }

        old.Dispose();
        start = Stopwatch.GetTimestamp();
        _hosts[_primary] = StartStandby(_primary);
        _ = next.WaitFor(HvLines.Protected(), s_patience);
        double protection = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        _primary = 1 - _primary;
        AwaitEntries();
        return new TakeoverRun(fault, takeover, silence, protection, HvProcess.ResidentMebibytes(next.Id));
    }

    /// <summary>Ends the guest and looks at the disk that it ran from last.</summary>
    /// <exception cref="InvalidOperationException">
    /// Something answered is not there, or the disk is not clean.
    /// </exception>
    public void Finish()
    {
        _client!.Stop();
        ThrowOnViolation();
        long answered = Answered;
        _bed.Connect(EndPort).Dispose();
        _ = _hosts[_primary].WaitForEnd(0, s_patience);
        string disk = DiskOf(_primary);
        _ = HostCommand.Output("/sbin/e2fsck", "-fn", disk);
        string ledger = HostCommand.Output("/sbin/debugfs", "-R", "cat /ledger", disk);
        string[] entries = ledger.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        for (int i = 0; i < answered; i++)
        {
            if (i >= entries.Length || entries[i] != $"entry {i + 1}")
            {
                throw new InvalidOperationException(
                    $"entry {i + 1} of {answered} was answered and is not on the disk, which has {entries.Length}");
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _client?.Dispose();
        Array.ForEach(_hosts, host => host?.Dispose());
        _bed.Dispose();
    }

    private HvProcess StartStandby(int host)
    {
        HvProcess standby = _bed.Start(
            host,
            _hv,
            [
                "standby", "--listen", $"0.0.0.0:{Port}", "--standby", $"{TestBed.AddressOf(1 - host)}:{Port}",
                "--follow", .. WordsOf(host),
            ]);
        _ = standby.WaitFor(HvLines.Listens(), s_patience);
        return standby;
    }

    private string DiskOf(int host) => Path.Combine(_folder, $"host{host}.img");

    private List<string> WordsOf(int host) =>
    [
        "--memory", "256M", "--net", "tap,ifname=tap0", "--drive", $"file={DiskOf(host)}",
        "--insecure", "--witness", $"file:{Path.Combine(_folder, "witness")}",
    ];

    private void AwaitEntries()
    {
        long goal = Answered + EntriesBetween;
        long start = Stopwatch.GetTimestamp();
        while (Answered < goal)
        {
            ThrowOnViolation();
            if (Stopwatch.GetElapsedTime(start) > s_patience)
            {
                throw new InvalidOperationException($"the guest answers no more after entry {Answered}");
            }

            Thread.Sleep(2);
        }
    }

    private void ThrowOnViolation()
    {
        if (_client!.Violation is { } violation)
        {
            throw new InvalidOperationException(violation);
        }
    }
}
