using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.Linq;
using System.Text;

namespace Hypervisor.Benchmarks.Takeovers;

/// <summary>The rounds of a campaign, and their table.</summary>
internal sealed class TakeoverReport
{
    /// <summary>What a section says of the weather.</summary>
    public const string Weather = "About half of the rounds are in rough weather: frames are lost (0.1 %), delayed and "
        + "overtake each other, by a relay in place of `tc netem`, which not every kernel has.";

    private readonly List<TakeoverRun> _runs = [];
    private readonly long _startTicks = Stopwatch.GetTimestamp();
    private long _entries;

    /// <summary>What went wrong; null when nothing did.</summary>
    public string? Fault { get; private set; }

    /// <summary>How often the guest changed its host so far.</summary>
    public int Takeovers => _runs.Count(run => run.IsTakeover);

    /// <summary>How long it took so far.</summary>
    public double Seconds => Stopwatch.GetElapsedTime(_startTicks).TotalSeconds;

    /// <summary>Runs a campaign to its end, or to what must not happen.</summary>
    /// <param name="campaign">The campaign.</param>
    /// <param name="next">Says when the next fault is due, by returning, and whether it is wanted at all.</param>
    /// <param name="results">Where logs go when something went wrong.</param>
    /// <param name="finish">Throws when the end is not as it must be.</param>
    public void Run(TakeoverCampaign campaign, Func<bool> next, string results, Action finish)
    {
        try
        {
            while (next())
            {
                TakeoverRun run = campaign.Next();
                _runs.Add(run);
                Console.Error.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{_runs.Count,4} {run.Fault,-5} {(run.IsRough ? "rough" : "fair"),-5} takeover "
                    + $"{run.TakeoverMillis,5:0} ms, client waited {run.SilenceMillis,5:0} ms, protected again after "
                    + $"{run.ProtectionMillis,5:0} ms, {run.ResidentMebibytes:0} MiB, "
                    + $"{campaign.Client.Answered} entries"));
            }

            finish();
        }
        catch (InvalidOperationException error)
        {
            Fault = error.Message;
            campaign.WriteLogs(results);
        }

        _entries = campaign.Client.Answered;
    }

    /// <summary>The table.</summary>
    /// <param name="proven">What holds when nothing went wrong.</param>
    public string Write(string proven)
    {
        var text = new StringBuilder();
        text.AppendLine(Fault is null
            ? $"{Takeovers} takeovers, {_entries} entries: {proven}."
            : $"FAILED after {Takeovers} takeovers and {_entries} entries: {Fault}");
        text.AppendLine();
        text.AppendLine("| fault | times | kept by the primary | first instruction after, ms | longest "
            + "| client waited, ms | longest | protected again after, ms | longest |");
        text.AppendLine("|---|---|---|---|---|---|---|---|---|");
        foreach (IGrouping<TakeoverFault, TakeoverRun> group in _runs.GroupBy(run => run.Fault).OrderBy(g => g.Key))
        {
            text.AppendLine($"| {group.Key} | {group.Count()} | {group.Count(run => !run.IsTakeover)} "
                + $"| {Pair(group.Select(run => run.TakeoverMillis))} | {Pair(group.Select(run => run.SilenceMillis))} "
                + $"| {Pair(group.Select(run => run.ProtectionMillis))} |");
        }

        text.AppendLine();
        text.AppendLine("Kill: SIGKILL. Hang: SIGSTOP, and SIGCONT once the guest runs elsewhere. Cut: `ip link "
            + "set down`. Deaf and Mute: everything to or from the host is dropped, the other direction works. Late: "
            + "everything comes 3 s late, also to the witness. Storm: 70 % loss, delays; either side may win at the "
            + "witness. Full: the standby's disk has no room, so the primary goes on alone; with room again the "
            + "guest is protected, then the primary is killed.");
        text.AppendLine();
        text.Append("Medians, and the longest. What is no death is found by silence (`--takeover-timeout`, 1 s by "
            + "default), a death by the closed connection. The old primary comes back in its old process first, must "
            + "say that it gave way, and must have sent nothing (packets counted at its TAP interface). Memory of "
            + "the primaries, MiB: first "
            + $"{Figures.Number(_runs.Count > 0 ? _runs[0].ResidentMebibytes : double.NaN)}, last "
            + $"{Figures.Number(_runs.Count > 0 ? _runs[^1].ResidentMebibytes : double.NaN)}.");
        return text.ToString();
    }

    private static string Pair(IEnumerable<double> millis)
    {
        double[] all = [.. millis.Where(double.IsFinite)];
        return $"{Figures.Number(Figures.Median(all))} | {Figures.Number(all.DefaultIfEmpty(double.NaN).Max())}";
    }
}
