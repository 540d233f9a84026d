using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Threading;
using Hypervisor.Benchmarks.Network;
using Hypervisor.Core;

namespace Hypervisor.Benchmarks.Takeovers;

/// <summary>
/// A guest that goes from host to host: its primary is lost in one way or another, the standby takes over, the host
/// that was lost comes back as a standby, and so on, while a client keeps one connection.
/// </summary>
internal sealed class TakeoverCampaign : IDisposable
{
    private const int Port = 7000;
    private const int EndPort = 99;
    private const int KilledExitCode = 128 + 9;
    private const int EntriesBetween = 5;
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(2);
    private static readonly Weather s_rough = new(0.001, 0.5, 1);
    private static readonly Weather s_late = new(0, 3000, 200); // three times the takeover timeout
    private static readonly Weather s_storm = new(0.7, 20, 50);

    private readonly string _hv;
    private readonly Random _random;
    private readonly TestBed _bed = new();
    private readonly SmallDisk[] _disks;
    private readonly HvProcess[] _hosts = new HvProcess[2];
    private readonly string _witness;
    private readonly HistoryClient? _client;
    private readonly string? _shared; // the image that both hosts reach
    private int _primary;
    private bool _isRough;

    /// <summary>Starts a protected guest and the client.</summary>
    /// <param name="hv">The program.</param>
    /// <param name="guest">What it runs.</param>
    /// <param name="etcd">The witness's program.</param>
    /// <param name="folder">Where disks and the witness's data go.</param>
    /// <param name="seed">Seed of the faults.</param>
    public TakeoverCampaign(string hv, CampaignGuest guest, string etcd, string folder, int seed)
    {
        _hv = hv;
        _random = new Random(seed);
        _disks = [new SmallDisk(Path.Combine(folder, "host0")), new SmallDisk(Path.Combine(folder, "host1"))];
        if (guest.IsShared)
        {
            _shared = Path.Combine(folder, "shared.img");
            HostCommand.CopyDisk(guest.Disk, _shared);
        }

        for (int host = 0; host < 2; host++)
        {
            HostCommand.CopyDisk(guest.Disk, DiskOf(host));
            _bed.AddStorm(host, seed + (2 * host));
        }

        _witness = _bed.StartWitness(etcd, Path.Combine(folder, "etcd"));
        _hosts[1] = StartStandby(1);
        _hosts[0] = _bed.Start(
            0,
            hv,
            [
                "run", "--standby", $"{TestBed.AddressOf(1)}:{Port}", .. WordsOf(0),
                "--kernel", Path.Combine(guest.Linux, "vmlinuz"), "--initrd", Path.Combine(guest.Linux, "initrd.gz"),
                "--append", $"console=ttyS0 quiet panic=-1 hvtest={guest.Test} hvnet={TestBed.Guest}/24",
            ]);
        _ = _hosts[0].WaitFor(HvLines.Booted(), s_patience);
        foreach (string line in guest.Typed)
        {
            _hosts[0].Type(line);
        }

        _ = _hosts[0].WaitFor(HvLines.Ready(), s_patience);
        _ = _hosts[0].WaitFor(HvLines.Protected(), s_patience);
        _client = guest.Talk(_bed.Connect(guest.Port));
        _client.Start();
    }

    /// <summary>The one that keeps the history.</summary>
    public HistoryClient Client => _client!;

    /// <summary>The disk that the guest writes to.</summary>
    public string Disk => _shared ?? DiskOf(_primary);

    private long Answered => Client.Answered;

    /// <summary>Does something to the primary once, and has the guest protected again.</summary>
    /// <exception cref="InvalidOperationException">Something that must hold does not.</exception>
    public TakeoverRun Next()
    {
        TakeoverFault fault = (TakeoverFault)Math.Max(0, _random.Next(-2, (int)TakeoverFault.Full + 1)); // more kills
        _isRough = _random.Next(2) == 0;
        SetFairOrRough();
        AwaitEntries();
        Thread.Sleep(_random.Next(0, 1000));
        if (fault == TakeoverFault.Full)
        {
            FillStandby();
        }

        HvProcess old = _hosts[_primary], next = _hosts[1 - _primary];
        AwaitProtected(old);
        int oldLines = old.LineCount, nextLines = next.LineCount;
        _ = Client.TakeLongestMillis();
        long start = Stopwatch.GetTimestamp();
        Begin(fault);
        if (fault == TakeoverFault.Hang && _shared is not null)
        {
            // Its lock says that it may be in the middle of a write: nobody writes before it has given way.
            _ = next.WaitFor(HvLines.Waits(), s_patience, nextLines);
            _hosts[_primary].Signal("CONT");
        }

        bool isTaken = AwaitWinner(old, oldLines, next, nextLines);
        double takeover = isTaken ? Stopwatch.GetElapsedTime(start).TotalMilliseconds : double.NaN;
        long frames = _bed.FramesFrom(_primary), answers = _bed.FramesFrom(1 - _primary);
        if (isTaken)
        {
            AwaitEntries();
            Check.That(_bed.FramesFrom(1 - _primary) > answers); // else nothing that it counts means anything
        }

        if (IsKill(fault))
        {
            old.Dispose();
        }
        else
        {
            End(fault);
        }

        AwaitEntries();
        double silence = Client.TakeLongestMillis();
        if (isTaken && !IsKill(fault))
        {
            // It came to itself, or hears of the world again, and must give way.
            _ = old.WaitFor(HvLines.Demoted(), s_patience, oldLines);
            AwaitEntries();
            old.Kill();
            ThrowIfAnswered(fault, frames);
            old.Dispose();
        }

        start = Stopwatch.GetTimestamp();
        if (isTaken)
        {
            _hosts[_primary] = StartStandby(_primary);
            _primary = 1 - _primary;
        }

        HvProcess primary = _hosts[_primary];
        _ = primary.WaitFor(HvLines.Protected(), s_patience, isTaken ? nextLines : oldLines);
        double protection = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        AwaitEntries();
        return new TakeoverRun(
            fault, _isRough, takeover, silence, protection, HvProcess.ResidentMebibytes(primary.Id));
    }

    /// <summary>Ends a guest that waits for a call.</summary>
    public void EndGuest()
    {
        _bed.Connect(EndPort).Dispose();
        _ = _hosts[_primary].WaitForEnd(0, s_patience);
    }

    /// <summary>Ends both halves as a power cut would, the standby first.</summary>
    public void KillBoth()
    {
        foreach (int host in (int[])[1 - _primary, _primary])
        {
            _hosts[host].Kill();
            _ = _hosts[host].WaitForEnd(KilledExitCode, s_patience);
        }
    }

    /// <summary>Process of the primary.</summary>
    public int PrimaryId => _hosts[_primary].Id;

    /// <summary>Process of the standby.</summary>
    public int StandbyId => _hosts[1 - _primary].Id;

    /// <summary>Writes what both hosts said.</summary>
    public void WriteLogs(string folder)
    {
        for (int host = 0; host < 2; host++)
        {
            File.WriteAllLines(
                Path.Combine(folder, $"host{host}.log"),
                _hosts[host].Lines.Select(line => $"{line.Millis:F1} {line.Text}"));
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _client?.Dispose();
        Array.ForEach(_hosts, host => host?.Dispose());
        _bed.Dispose();
        Array.ForEach(_disks, disk => disk.Dispose());
    }

    private static bool IsKill(TakeoverFault fault) => fault is TakeoverFault.Kill or TakeoverFault.Full;

    private void SetFairOrRough()
    {
        for (int host = 0; host < 2; host++)
        {
            _bed.SetWeather(host, _isRough ? s_rough : null);
        }
    }

    private void Begin(TakeoverFault fault)
    {
        switch (fault)
        {
            case TakeoverFault.Kill or TakeoverFault.Full:
                _hosts[_primary].Kill();
                break;
            case TakeoverFault.Hang:
                _hosts[_primary].Signal("STOP");
                break;
            case TakeoverFault.Cut:
                _bed.Pull(_primary);
                break;
            case TakeoverFault.Deaf or TakeoverFault.Mute:
                _bed.Drop(_primary, fault == TakeoverFault.Deaf);
                break;
            case TakeoverFault.Late:
                _bed.SetWeather(_primary, s_late);
                break;
            case TakeoverFault.Storm:
                _bed.SetWeather(_primary, s_storm);
                break;
        }
    }

    private void End(TakeoverFault fault)
    {
        switch (fault)
        {
            case TakeoverFault.Hang when _shared is null: // else it was told to before
                _hosts[_primary].Signal("CONT");
                break;
            case TakeoverFault.Deaf or TakeoverFault.Mute:
                _bed.EndDrop(_primary);
                break;
            case TakeoverFault.Cut or TakeoverFault.Late or TakeoverFault.Storm:
                SetFairOrRough();
                break;
        }
    }

    // Whether the standby runs the guest; otherwise the primary was told that it may go on alone.
    private static bool AwaitWinner(HvProcess old, int oldLines, HvProcess next, int nextLines)
    {
        long start = Stopwatch.GetTimestamp();
        while (next.TryFind(HvLines.Running(), nextLines) is null)
        {
            if (old.TryFind(HvLines.Alone(), oldLines) is not null)
            {
                return false;
            }

            if (Stopwatch.GetElapsedTime(start) > s_patience || next.HasEnded)
            {
                _ = next.WaitFor(HvLines.Running(), TimeSpan.Zero, nextLines); // says what came instead
            }

            Thread.Sleep(2);
        }

        return true;
    }

    // On a starved host the primary may have lost its standby for a while: nobody would take over then (rule 29).
    private static void AwaitProtected(HvProcess primary)
    {
        long start = Stopwatch.GetTimestamp();
        while (primary.Lines.Select(line => HvLines.State().Match(line.Text)).LastOrDefault(found => found.Success)
            is not { } state || state.Groups["state"].Value != "Protected")
        {
            if (primary.HasEnded || Stopwatch.GetElapsedTime(start) > s_patience)
            {
                throw new InvalidOperationException("the guest is no longer protected");
            }

            Thread.Sleep(2);
        }
    }

    // The standby cannot write its journal: the primary must go on without it, and with it once there is room.
    private void FillStandby()
    {
        int standby = 1 - _primary;
        HvProcess primary = _hosts[_primary];
        int lines = primary.LineCount;
        _disks[standby].Fill();
        _ = primary.WaitFor(HvLines.Alone(), s_patience, lines);
        AwaitEntries();
        lines = primary.LineCount;
        _disks[standby].MakeRoom();
        if (_hosts[standby].HasEnded)
        {
            _hosts[standby].Dispose();
            _hosts[standby] = StartStandby(standby);
        }

        _ = primary.WaitFor(HvLines.Protected(), s_patience, lines);
        AwaitEntries();
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

    private string DiskOf(int host) => Path.Combine(_disks[host].Folder, "disk.img");

    private List<string> WordsOf(int host) =>
    [
        "--memory", "256M", "--net", "tap,ifname=tap0",
        .. _shared is null ? (string[])[] : ["--drive", $"file={_shared},shared=on"],
        "--drive", $"file={DiskOf(host)}",
        "--insecure", "--witness", _witness,
    ];

    private void AwaitEntries()
    {
        long goal = Answered + EntriesBetween;
        long start = Stopwatch.GetTimestamp();
        while (Answered < goal)
        {
            Client.ThrowOnViolation();
            if (Stopwatch.GetElapsedTime(start) > s_patience)
            {
                throw new InvalidOperationException($"the guest answers no more after entry {Answered}");
            }

            Thread.Sleep(2);
        }
    }

    private void ThrowIfAnswered(TakeoverFault fault, long frames)
    {
        long more = _bed.FramesFrom(_primary) - frames;
        if (more != 0)
        {
            throw new InvalidOperationException(
                $"two primaries answered: after {fault} host {_primary} sent {more} frames more");
        }
    }
}
