using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Hypervisor.Replication.Session;
using Hypervisor.Sessions;

namespace Hypervisor.Control;

/// <summary>The live view without its screen: statuses in, lines out. At most 80 columns, names aside.</summary>
internal sealed class TopModel
{
    private const int ChartRows = 6;
    private const int BarColumns = 40;
    private const int BucketRowsMax = 8;
    private const int PhasesPerRow = 3;
    private const int PhaseColumns = 22;

    private GuestStatus? _before;

    /// <summary>What to show of a status; rates are against the one before.</summary>
    public IReadOnlyList<TopRow> Show(GuestStatus status)
    {
        GuestStatus? before = _before;
        _before = status;
        double seconds = before is null ? 0 : (status.UptimeMicros - before.UptimeMicros) / 1e6;
        var rows = new List<TopRow>
        {
            new($"{status.Guest} · {GuestStates.NameOf(status.Role)} · up {StatusTable.Duration(status.UptimeMicros)}",
                TopTone.Heading),
            new($"state   {StatusTable.State(status)}", IsGood(status) ? TopTone.Good : TopTone.Bad),
            new($"taints  {StatusTable.Taints(status.Taints)}", status.Taints == 0 ? TopTone.Plain : TopTone.Bad),
        };
        if (status.Role == GuestRole.Primary)
        {
            ShowPrimary(rows, status, before, seconds);
        }
        else if (status.Role == GuestRole.Standby)
        {
            rows.Add(new(Text($"epochs  committed {status.CommittedEpoch}, applied {status.AppliedEpoch}")
                + Rate(seconds, status.AppliedEpoch - (double)(before?.AppliedEpoch ?? 0), Text)));
            rows.Add(new($"received {StatusTable.Megabytes(status.BytesReceived)}"
                + Rate(seconds, status.BytesReceived - (before?.BytesReceived ?? 0), StatusTable.Megabytes)));
            ShowPhases(rows, status);
        }

        if (status.Instructions is { } count)
        {
            rows.Add(new(Text($"instructions {count / 1e6:0.0} M")
                + Rate(seconds, count - (double)(before?.Instructions ?? 0), rate => Text($"{rate / 1e6:0.0} M"))));
        }

        rows.AddRange(status.Disks.Select(
            disk => new TopRow($"disk    {disk.Id}, {StatusTable.Megabytes(disk.LengthBytes)}")));
        if (status.LastEvent.Length > 0)
        {
            rows.Add(new($"last    {status.LastEvent}"));
        }

        if (status.Role == GuestRole.Primary)
        {
            ShowPauses(rows, status);
        }

        return rows;
    }

    private static bool IsGood(GuestStatus status) => status.Role switch
    {
        GuestRole.Alone => status.State == GuestStates.Running,
        GuestRole.Primary => status.State == "protected",
        GuestRole.Standby => status.State == "protecting",
    };

    private static void ShowPrimary(List<TopRow> rows, GuestStatus status, GuestStatus? before, double seconds)
    {
        rows.Add(new($"epochs  {StatusTable.Epochs(status)}"
            + Rate(seconds, status.Epochs - (before?.Epochs ?? 0), Text)));
        rows.Add(new($"lag     {StatusTable.Micros(status.LagMicros)}{(status.HasLease ? "" : ", output is held")}"));
        rows.Add(new($"sent    {StatusTable.Megabytes(status.BytesSent)}"
            + Rate(seconds, status.BytesSent - (before?.BytesSent ?? 0), StatusTable.Megabytes)
            + Text($" · {status.DirtyPages} dirty pages in the last epoch")));
        if (StatusTable.IsCopying(status))
        {
            long percent = status.CopyDoneBytes * 100 / status.CopyTotalBytes;
            string bar = BarChart.Row(status.CopyDoneBytes, status.CopyTotalBytes, BarColumns);
            string size = StatusTable.Megabytes(status.CopyTotalBytes);
            rows.Add(new($"copy    {bar.PadRight(BarColumns, '░')} {percent} % of {size}"));
            double perSecond = (status.CopyDoneBytes - (before?.CopyDoneBytes ?? 0)) / seconds;
            if (seconds > 0 && perSecond > 0)
            {
                double left = (status.CopyTotalBytes - status.CopyDoneBytes) / perSecond;
                rows.Add(new(Text($"        {perSecond / (1 << 20):0.0} MiB/s, {left:0} s left")));
            }
        }

        ShowPhases(rows, status);
        if (status.LastCut is { } last)
        {
            rows.Add(new($"cuts    last: {PaceText.Describe(last)} · all: {PaceText.Counts(status.CutReasons)}"));
        }
    }

    private static void ShowPhases(List<TopRow> rows, GuestStatus status)
    {
        PhaseSummary[] phases = [.. status.Phases.Where(phase => phase.Times.Count > 0)];
        if (phases.Length > 0)
        {
            rows.Add(new("phases  p50/p99/max in ms"));
            rows.AddRange(phases.Chunk(PhasesPerRow).Select(row => new TopRow(
                ("        " + string.Join("  ", row.Select(phase => PauseText.Describe(phase).PadRight(PhaseColumns))))
                .TrimEnd())));
        }
    }

    private static void ShowPauses(List<TopRow> rows, GuestStatus status)
    {
        IReadOnlyList<long> recent = status.RecentPauseMicros;
        long longest = recent.Count > 0 ? recent.Max() : 0;
        rows.Add(new(""));
        rows.Add(new(Text($"longest pause of each of the last {recent.Count} s"), TopTone.Heading));
        IReadOnlyList<string> chart = BarChart.Columns(recent, ChartRows);
        for (int row = 0; row < chart.Count; row++)
        {
            string mark = row == 0 ? StatusTable.Micros(longest) : row == chart.Count - 1 ? "0" : "";
            rows.Add(new($"{mark,10} │{chart[row]}"));
        }

        rows.Add(new(""));
        rows.Add(new($"pauses  {StatusTable.Pauses(status.Pauses)}", TopTone.Heading));
        long[] counts = new long[(status.PauseCounts.Count + 1) / 2]; // by 4^n ns
        for (int log = 0; log < status.PauseCounts.Count; log++)
        {
            int row = Math.Max(log / 2, counts.Length - BucketRowsMax); // what is shorter counts in the first row
            counts[row] += status.PauseCounts[log];
        }

        int first = counts.TakeWhile(count => count == 0).Count();
        for (int row = first; row < counts.Length; row++)
        {
            string bar = BarChart.Row(counts[row], counts.Max(), BarColumns);
            rows.Add(new(Text($"{"≥ " + Nanos(1L << (2 * row)),10} │{bar} {counts[row]}")));
        }
    }

    private static string Nanos(long nanos)
        => nanos < 1000 ? Text($"{nanos} ns") : nanos < 1_000_000 ? Text($"{nanos / 1e3:0.0} µs")
        : Text($"{nanos / 1e6:0.0} ms");

    // After a restart of the pair counters begin anew; a rate below 0 would only say so.
    private static string Rate(double seconds, double difference, Func<double, string> write)
        => seconds > 0 && difference >= 0 ? $" ({write(difference / seconds)}/s)" : "";

    private static string Text(double number) => Text($"{number:0.0}");

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
