using System;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading;
using Hypervisor.Benchmarks.Network;

namespace Hypervisor.Benchmarks.Growth;

/// <summary>A guest that dirties so many pages an epoch, both halves on this host.</summary>
/// <param name="Mebibytes">Its RAM.</param>
/// <param name="Wanted">Dirty pages an epoch that it was told.</param>
/// <param name="Epochs">Epochs.</param>
/// <param name="Pages">Dirty pages an epoch that it had, on average.</param>
/// <param name="P50">Median pause, in milliseconds.</param>
/// <param name="P99">Pause that 99 of 100 do not exceed.</param>
/// <param name="Max">Longest pause.</param>
/// <param name="EpochsPerSecond">Acknowledged.</param>
/// <param name="SentMebibytes">Sent per second.</param>
internal sealed record GrowthRun(
    int Mebibytes,
    int Wanted,
    double Epochs,
    double Pages,
    double P50,
    double P99,
    double Max,
    double EpochsPerSecond,
    double SentMebibytes)
{
    /// <summary>How long the guest rests after each step, in milliseconds.</summary>
    public const int RestMillis = 25;

    private const int PagesPerMebibyte = 256;
    private const int MicrosPerMilli = 1000;
    private const double MillisPerSecond = 1000;
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(5);

    /// <summary>Measures it.</summary>
    /// <remarks>
    /// A guest that rests while output waits is cut soon: so each step, which ends with a line, is one epoch, and the
    /// longest epoch plays no part.
    /// </remarks>
    /// <param name="hv">The program.</param>
    /// <param name="mebibytes">RAM.</param>
    /// <param name="pages">Pages that each step stores to.</param>
    /// <param name="epochs">How many epochs at least.</param>
    /// <param name="folder">For the witness.</param>
    /// <exception cref="InvalidOperationException">The pair did not come to its end.</exception>
    public static GrowthRun Measure(string hv, int mebibytes, int pages, int epochs, string folder)
    {
        string[] words =
        [
            "--memory", $"{mebibytes}M", "--serial", "null",
            "--witness", "file:" + Path.Combine(folder, $"witness.{mebibytes}.{pages}"),
        ];
        using HvProcess standby = Start(hv, ["standby", "--listen", "127.0.0.1:0", .. words]);
        string port = standby.WaitFor(HvLines.Listens(), s_patience).Found.Groups["port"].Value;

        // Half of RAM: the guest itself is in the rest.
        int area = Math.Max(pages, mebibytes * PagesPerMebibyte / 2);
        using HvProcess primary = Start(
            hv,
            [
                "run", "--standby", $"127.0.0.1:{port}", "--guest", "counting", .. words,
                "--epoch", "1s",
                "--append", $"disk=off area={area} dirty={pages} pace={RestMillis * MicrosPerMilli}",
            ]);
        double start = primary.WaitFor(HvLines.Protected(), s_patience).Millis;
        (double Epoch, double Sent, double Millis)[] rows = [];
        while (rows.Length < 2 || rows[^1].Epoch - rows[0].Epoch < epochs)
        {
            if (primary.HasEnded)
            {
                _ = primary.WaitFor(HvLines.Pauses(), TimeSpan.Zero); // says what came instead
                break;
            }

            Thread.Sleep(100);
            rows =
            [
                .. primary.Lines.Where(line => line.Millis > start)
                    .Select(line => (Found: HvLines.Epoch().Match(line.Text), line.Millis))
                    .Where(row => row.Found.Success)
                    .Select(row => (Figures.Of(row.Found, "epoch"), Figures.Of(row.Found, "sent"), row.Millis)),
            ];
        }

        primary.Signal("TERM");
        Match pauses = primary.WaitFor(HvLines.Pauses(), s_patience).Found;
        double seconds = (rows[^1].Millis - rows[0].Millis) / MillisPerSecond;
        return new GrowthRun(
            mebibytes,
            pages,
            Figures.Of(pauses, "epochs"),
            Figures.Of(pauses, "pages"),
            Figures.Of(pauses, "p50"),
            Figures.Of(pauses, "p99"),
            Figures.Of(pauses, "max"),
            (rows[^1].Epoch - rows[0].Epoch) / seconds,
            (rows[^1].Sent - rows[0].Sent) / seconds);
    }

    private static HvProcess Start(string hv, string[] words) => new(
        "setpriv", ["--pdeathsig", "KILL", hv, .. words],
        line => !line.StartsWith("hv: full copy", StringComparison.Ordinal));
}
