using System;
using System.Globalization;
using System.Text;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Session;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Control;

/// <summary>
/// A guest's status as Prometheus reads it. Spec: Prometheus text exposition format 0.0.4. Names end in their unit;
/// what the guest's role does not have is left out.
/// </summary>
internal static class MetricsText
{
    private const double MicrosPerSecond = 1e6;
    private const double NanosPerSecond = 1e9;

    /// <summary>The whole page.</summary>
    public static string Write(GuestStatus status)
    {
        var text = new StringBuilder(4096);
        text.Head("hv_info", "gauge", "1, with the guest's name and what this process is to it.");
        text.Line("hv_info", 1, ("guest", status.Guest), ("role", GuestStates.NameOf(status.Role)));
        text.Head("hv_uptime_seconds", "gauge", "Time since the process began to watch its guest.");
        text.Line("hv_uptime_seconds", status.UptimeMicros / MicrosPerSecond);
        text.Head("hv_state", "gauge", "1 for the state that the guest is in, 0 for the others that it could be in.");
        foreach (string state in GuestStates.Of(status.Role))
        {
            text.Line("hv_state", state == status.State ? 1 : 0, ("state", state));
        }

        text.Head("hv_taint", "gauge", "1 for what makes the protection weaker than it could be.");
        foreach (PairTaints taint in GuestStates.AllTaints)
        {
            text.Line("hv_taint", status.Taints.HasFlag(taint) ? 1 : 0, ("taint", GuestStates.NameOf(taint)));
        }

        if (status.Disks.Count > 0)
        {
            text.Head("hv_disk_bytes", "gauge", "Size of a disk.");
            foreach (DiskIdentity disk in status.Disks)
            {
                text.Line("hv_disk_bytes", disk.LengthBytes, ("disk", disk.Id));
            }
        }

        if (status.Balloon is { } balloon)
        {
            text.Head("hv_balloon_bytes", "gauge", "Memory that the guest was asked to give back, and has.");
            text.Line("hv_balloon_bytes", balloon.TargetBytes, ("kind", "target"));
            text.Line("hv_balloon_bytes", balloon.ActualBytes, ("kind", "actual"));
        }

        if (status.Instructions is { } instructions)
        {
            text.One("hv_guest_instructions_total", "counter", "Guest instructions run.", instructions);
        }

        if (status.Role == GuestRole.Primary)
        {
            WritePrimary(text, status);
        }

        if (status.Role == GuestRole.Standby)
        {
            text.One("hv_received_bytes_total", "counter", "Bytes received from the primary.", status.BytesReceived);
            WriteEpochs(text, ("committed", status.CommittedEpoch), ("applied", status.AppliedEpoch));
            WritePhases(text, status);
        }

        if (status.Role != GuestRole.Alone || status.Generation > 0)
        {
            text.One("hv_generation", "gauge", "Generation of whoever runs the guest.", status.Generation);
        }

        return text.ToString();
    }

    private static void WritePrimary(StringBuilder text, GuestStatus status)
    {
        text.One("hv_epochs_total", "counter", "Epochs cut.", status.Epochs);
        WriteEpochs(
            text, ("open", status.OpenEpoch), ("acked", status.AckedEpoch), ("released", status.ReleasedEpoch));
        text.Head("hv_pause_seconds", "summary", "How long the guest stood still for a cut.");
        text.Summary("hv_pause_seconds", status.Pauses);
        WritePhases(text, status);
        text.Head("hv_cuts_total", "counter", "Cuts by the reason why they were made when they were.");
        foreach (CutReasonCount cuts in status.CutReasons)
        {
            text.Line("hv_cuts_total", cuts.Count, ("reason", GuestStates.NameOf(cuts.Reason)));
        }

        text.One(
            "hv_lag_seconds", "gauge", "Age of the oldest cut without acknowledgement.",
            status.LagMicros / MicrosPerSecond);
        text.One("hv_lease", "gauge", "Whether output may leave.", status.HasLease ? 1 : 0);
        text.One("hv_sent_bytes_total", "counter", "Bytes sent to the standby.", status.BytesSent);
        text.One("hv_dirty_pages", "gauge", "Pages that the guest changed in the last epoch.", status.DirtyPages);
        text.One("hv_copy_done_bytes", "gauge", "Bytes of the last full copy that are over.", status.CopyDoneBytes);
        text.One("hv_copy_bytes", "gauge", "Bytes of the last full copy.", status.CopyTotalBytes);
    }

    private static void WritePhases(StringBuilder text, GuestStatus status)
    {
        text.Head("hv_phase_seconds", "summary", "How long a phase of an epoch took.");
        foreach (PhaseSummary phase in status.Phases)
        {
            text.Summary("hv_phase_seconds", phase.Times, ("phase", phase.Name));
        }
    }

    private static void Summary(
        this StringBuilder text, string name, in PauseSummary times, params (string Name, string Value)[] labels)
    {
        text.Line(name, times.MedianNanos / NanosPerSecond, [.. labels, ("quantile", "0.5")]);
        text.Line(name, times.P99Nanos / NanosPerSecond, [.. labels, ("quantile", "0.99")]);
        text.Line(name, times.MaxNanos / NanosPerSecond, [.. labels, ("quantile", "1")]);
        text.Line(name + "_sum", times.TotalNanos / NanosPerSecond, labels);
        text.Line(name + "_count", times.Count, labels);
    }

    private static void WriteEpochs(StringBuilder text, params (string Point, ulong Number)[] points)
    {
        text.Head("hv_epoch", "gauge", "Last epoch that has come as far as this point.");
        foreach ((string point, ulong number) in points)
        {
            text.Line("hv_epoch", number, ("point", point));
        }
    }

    private static void One(this StringBuilder text, string name, string type, string help, double value)
    {
        text.Head(name, type, help);
        text.Line(name, value);
    }

    private static void Head(this StringBuilder text, string name, string type, string help)
        => text.Append(CultureInfo.InvariantCulture, $"# HELP {name} {help}\n# TYPE {name} {type}\n");

    private static void Line(
        this StringBuilder text, string name, double value, params ReadOnlySpan<(string Name, string Value)> labels)
    {
        text.Append(name);
        for (int i = 0; i < labels.Length; i++)
        {
            text.Append(i == 0 ? '{' : ',').Append(labels[i].Name).Append("=\"").Append(Escape(labels[i].Value));
            text.Append('"');
        }

        text.Append(labels.Length > 0 ? "} " : " ");
        text.Append(CultureInfo.InvariantCulture, $"{value:R}").Append('\n');
    }

    private static string Escape(string value)
        => value.Replace("\\", @"\\", StringComparison.Ordinal)
            .Replace("\"", "\\\"", StringComparison.Ordinal)
            .Replace("\n", @"\n", StringComparison.Ordinal);
}
