using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;
using Hypervisor.CommandLine;
using Hypervisor.Devices.Virtio;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Session;
using Hypervisor.Sessions;

namespace Hypervisor.Control;

/// <summary>A guest's status for people: a line a fact, in two columns.</summary>
internal static class StatusTable
{
    private const int NameColumns = 12;
    private const double MebiByte = 1 << 20;

    /// <summary>The lines, without line ends.</summary>
    public static IReadOnlyList<string> Write(GuestStatus status)
    {
        var rows = new List<(string Name, string Value)>
        {
            ("guest", status.Guest),
            ("role", GuestStates.NameOf(status.Role)),
            ("state", State(status)),
            ("taints", Taints(status.Taints)),
            ("uptime", Duration(status.UptimeMicros)),
        };
        if (status.Role != GuestRole.Alone || status.Generation > 0)
        {
            rows.Add(("generation", Text($"{status.Generation}, incarnation {status.Incarnation:x16}")));
        }

        if (status.Role == GuestRole.Primary)
        {
            rows.Add(("epochs", Epochs(status)));
            rows.Add(("pauses", Pauses(status.Pauses)));
            rows.AddRange(Phases(status));
            if (status.LastCut is { } last)
            {
                rows.Add(("cuts", $"{PaceText.Counts(status.CutReasons)}; last: {PaceText.Describe(last)}"));
            }

            rows.Add(("lag", $"{Micros(status.LagMicros)}{(status.HasLease ? "" : ", no lease: output is held")}"));
            rows.Add(("sent", Megabytes(status.BytesSent)));
            rows.Add(("dirty pages", Text($"{status.DirtyPages} in the last epoch")));
        }

        if (status.Role == GuestRole.Standby)
        {
            rows.Add(("epochs", Text($"committed {status.CommittedEpoch}, applied {status.AppliedEpoch}")));
            rows.AddRange(Phases(status));
            rows.Add(("received", Megabytes(status.BytesReceived)));
        }

        if (status.SwitchOver.Error.Length > 0)
        {
            rows.Add(("switch-over", $"none: {status.SwitchOver.Error}"));
        }

        if (IsCopying(status))
        {
            rows.Add(("copy", $"{Megabytes(status.CopyDoneBytes)} of {Megabytes(status.CopyTotalBytes)}"));
        }

        if (status.Scrub.Number > 0)
        {
            rows.Add(("scrub", Scrub(status.Scrub)));
        }

        if (status.Instructions is { } instructions)
        {
            rows.Add(("instructions", Text($"{instructions}")));
        }

        if (status.Balloon is { } balloon)
        {
            rows.Add(("balloon", Balloon(balloon)));
        }

        rows.AddRange(status.Disks.Select(disk => ("disk", $"{disk.Id}, {SizeText.Write(disk.LengthBytes)}")));
        if (status.LastEvent.Length > 0)
        {
            rows.Add(("last event", status.LastEvent));
        }

        return [.. rows.Select(row => row.Name.PadRight(NameColumns) + ' ' + row.Value)];
    }

    /// <summary>State and the reason for it.</summary>
    public static string State(GuestStatus status)
        => status.Reason.Length > 0 ? $"{status.State}: {status.Reason}" : status.State;

    /// <summary>What came of a scrub, in words.</summary>
    public static string Scrub(in ScrubStatus scrub) => scrub.State switch
    {
        ScrubState.None => "none",
        ScrubState.Running => $"running, {Megabytes(scrub.SentBytes)} read",
        ScrubState.Same => $"everything is the same, {Megabytes(scrub.SentBytes)}",
        ScrubState.Ended => $"ended after {Megabytes(scrub.SentBytes)}: {scrub.Reason}",
    };

    /// <summary>What makes the protection weaker, in words.</summary>
    public static string Taints(PairTaints taints)
    {
        string[] names = [.. GuestStates.AllTaints
            .Where(taint => taints.HasFlag(taint))
            .Select(taint => taint switch
            {
                PairTaints.SameHost => "both halves on this machine",
                PairTaints.AckFromMemory => "acknowledged from memory",
                PairTaints.Insecure => "link is not encrypted",
                _ => "a device is not captured",
            })];
        return names.Length > 0 ? string.Join(", ", names) : "none";
    }

    /// <summary>Whether a full copy is under way.</summary>
    public static bool IsCopying(GuestStatus status)
        => status.Role == GuestRole.Primary && status.State is "copying" && status.CopyTotalBytes > 0;

    /// <summary>What the guest has given back, and what it has left.</summary>
    public static string Balloon(in BalloonStatus balloon)
    {
        string free = balloon.FreeBytes is { } bytes ? $"; of the rest {Megabytes(bytes)} are free" : "";
        string available = balloon.AvailableBytes is { } more ? $", {Megabytes(more)} available" : "";
        return $"{Megabytes(balloon.ActualBytes)} given back of {Megabytes(balloon.TargetBytes)} asked for"
            + free + available;
    }

    /// <summary>How long the guest stood still.</summary>
    public static string Pauses(in PauseSummary pauses) => pauses.Count == 0 ? "none"
        : $"p50 {Millis(pauses.MedianNanos)}, p99 {Millis(pauses.P99Nanos)}, max {Millis(pauses.MaxNanos)} "
        + $"of {pauses.Count}";

    /// <summary>Where the epochs of a primary are.</summary>
    public static string Epochs(GuestStatus status)
        => Text($"open {status.OpenEpoch}, acked {status.AckedEpoch}, released {status.ReleasedEpoch}");

    /// <summary>A duration in milliseconds.</summary>
    public static string Micros(long micros) => Text($"{micros / 1000.0:0.00} ms");

    /// <summary>A quantity in MiB.</summary>
    public static string Megabytes(double bytes) => Text($"{bytes / MebiByte:0.0} MiB");

    /// <summary>A duration in days, hours, minutes and seconds.</summary>
    public static string Duration(long micros)
    {
        var time = TimeSpan.FromMicroseconds(micros);
        var text = new StringBuilder();
        if (time.Days > 0)
        {
            text.Append(CultureInfo.InvariantCulture, $"{time.Days} d ");
        }

        return text.Append(CultureInfo.InvariantCulture, $"{time:hh\\:mm\\:ss}").ToString();
    }

    private static IEnumerable<(string Name, string Value)> Phases(GuestStatus status)
        => status.Phases.Where(phase => phase.Times.Count > 0)
            .Select(phase => ("phase", $"{phase.Name}: {Pauses(phase.Times)}"));

    private static string Millis(long nanos) => Micros(nanos / 1000);

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
