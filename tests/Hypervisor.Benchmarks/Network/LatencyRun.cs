using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Net.Sockets;
using System.Threading;

namespace Hypervisor.Benchmarks.Network;

/// <summary>A guest, alone or protected, and how long a client waits for its answers.</summary>
internal static class LatencyRun
{
    private const int Port = 7000;
    private const int EchoPort = 7, EndPort = 99;
    private const int Questions = 1000, WarmUp = 100, Pings = 300;
    private const int ThinkMillis = 2;
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(2);

    /// <summary>Runs it once.</summary>
    /// <param name="hv">The program.</param>
    /// <param name="files">Folder with vmlinuz, initrd.gz and disk.img.</param>
    /// <param name="folder">Where disks and the witness go.</param>
    /// <param name="epoch">Epoch length; null for a guest alone.</param>
    /// <returns>Milliseconds from each question to its answer, over TCP and as pings, sorted.</returns>
    /// <exception cref="InvalidOperationException">It did not come to its end.</exception>
    public static (double[] Tcp, double[] Ping) Measure(string hv, string files, string folder, string? epoch)
    {
        using var bed = new TestBed();
        foreach (string old in Directory.GetFiles(folder, "witness*"))
        {
            File.Delete(old); // of a guest that has ended
        }

        using HvProcess? standby = epoch is null ? null : bed.Start(
            1, hv, ["standby", "--listen", $"0.0.0.0:{Port}", .. WordsOf(1, files, folder), .. Protection(folder)]);
        standby?.WaitFor(HvLines.Listens(), s_patience);
        string[] protection = epoch is null
            ? []
            : ["--standby", $"{TestBed.AddressOf(1)}:{Port}", "--epoch", epoch, .. Protection(folder)];
        using HvProcess guest = bed.Start(
            0,
            hv,
            [
                "run", .. protection, .. WordsOf(0, files, folder),
                "--kernel", Path.Combine(files, "vmlinuz"), "--initrd", Path.Combine(files, "initrd.gz"),
                "--append", $"console=ttyS0 quiet panic=-1 hvtest=net hvnet={TestBed.Guest}/24",
            ]);
        _ = guest.WaitFor(HvLines.Ready(), s_patience);
        if (epoch is not null)
        {
            _ = guest.WaitFor(HvLines.Protected(), s_patience);
        }

        using Socket socket = bed.Connect(EchoPort);
        double[] millis = Converse(socket);
        using Socket icmp = bed.OpenIcmp();
        double[] pings = EchoRequest.Measure(icmp, TestBed.Guest, Pings, ThinkMillis);
        bed.Connect(EndPort).Dispose();
        _ = guest.WaitForEnd(0, s_patience);
        standby?.WaitForEnd(0, s_patience);
        return (millis, pings);
    }

    private static double[] Converse(Socket socket)
    {
        byte[] question = "0123456789abcde\n"u8.ToArray();
        byte[] answer = new byte[question.Length];
        double[] millis = new double[Questions];
        for (int i = -WarmUp; i < Questions; i++)
        {
            Thread.Sleep(ThinkMillis); // so that the guest is idle
            long start = Stopwatch.GetTimestamp();
            _ = socket.Send(question);
            for (int at = 0; at < answer.Length;)
            {
                int got = socket.Receive(answer, at, answer.Length - at, SocketFlags.None);
                at += got > 0 ? got : throw new InvalidOperationException("the guest closed the connection");
            }

            millis[Math.Max(i, 0)] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }

        Array.Sort(millis);
        return millis;
    }

    private static List<string> WordsOf(int host, string files, string folder)
    {
        string disk = Path.Combine(folder, $"host{host}.img");
        File.Copy(Path.Combine(files, "disk.img"), disk, overwrite: true);
        return ["--memory", "256M", "--net", "tap,ifname=tap0", "--drive", $"file={disk}"];
    }

    private static string[] Protection(string folder)
        => ["--insecure", "--witness", $"file:{Path.Combine(folder, "witness")}"];
}
