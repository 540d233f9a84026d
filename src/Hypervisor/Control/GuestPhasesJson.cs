using System;
using System.Collections.Generic;
using System.Text.Json;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Session;

namespace Hypervisor.Control;

/// <summary>What epochs consist of and why they are as long as they are, as fields of a status, and back.</summary>
internal static class GuestPhasesJson
{
    /// <summary>Writes `phases` and `cuts` into an object that is open. Some phases are shorter than 1 µs.</summary>
    public static void Write(Utf8JsonWriter json, GuestStatus status)
    {
        json.WriteStartArray("phases");
        foreach (PhaseSummary phase in status.Phases)
        {
            json.WriteStartObject();
            json.WriteString("name", phase.Name);
            json.WriteNumber("count", phase.Times.Count);
            json.WriteNumber("totalNanos", phase.Times.TotalNanos);
            json.WriteNumber("p50Nanos", phase.Times.MedianNanos);
            json.WriteNumber("p99Nanos", phase.Times.P99Nanos);
            json.WriteNumber("maxNanos", phase.Times.MaxNanos);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartObject("cuts");
        json.WriteString("last", status.LastCut is { } last ? GuestStates.NameOf(last) : "");
        json.WriteStartArray("reasons");
        foreach (CutReasonCount reason in status.CutReasons)
        {
            json.WriteStartObject();
            json.WriteString("reason", GuestStates.NameOf(reason.Reason));
            json.WriteNumber("count", reason.Count);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    /// <summary>Reads the phases back.</summary>
    public static PhaseSummary[] ReadPhases(JsonElement json)
    {
        var phases = new List<PhaseSummary>();
        foreach (JsonElement phase in json.GetProperty("phases").EnumerateArray())
        {
            var times = new PauseSummary(
                Number(phase, "count"), Number(phase, "p50Nanos"), Number(phase, "p99Nanos"), Number(phase, "maxNanos"))
            {
                TotalNanos = Number(phase, "totalNanos"),
            };
            phases.Add(new PhaseSummary(Text(phase, "name"), times));
        }

        return [.. phases];
    }

    /// <summary>Reads the reasons back.</summary>
    public static CutReasonCount[] ReadCuts(JsonElement json, out CutReason? last)
    {
        JsonElement cuts = json.GetProperty("cuts");
        string text = Text(cuts, "last");
        last = text.Length > 0 ? Reason(text) : null;
        var counts = new List<CutReasonCount>();
        foreach (JsonElement count in cuts.GetProperty("reasons").EnumerateArray())
        {
            counts.Add(new CutReasonCount(Reason(Text(count, "reason")), Number(count, "count")));
        }

        return [.. counts];
    }

    private static CutReason Reason(string name) => Enum.Parse<CutReason>(name, ignoreCase: true);

    private static string Text(JsonElement json, string name) => json.GetProperty(name).GetString() ?? "";

    private static long Number(JsonElement json, string name) => json.GetProperty(name).GetInt64();
}
