using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text.Json;
using Hypervisor.Devices.Virtio;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Session;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Control;

/// <summary>A guest's status as the fields of a JSON object, and back.</summary>
internal static class GuestStatusJson
{
    private const long NanosPerMicro = 1000;

    /// <summary>Writes the fields into an object that is open.</summary>
    public static void Write(Utf8JsonWriter json, GuestStatus status)
    {
        json.WriteString("role", GuestStates.NameOf(status.Role));
        json.WriteString("guest", status.Guest);
        json.WriteString("state", status.State);
        json.WriteString("reason", status.Reason);
        json.WriteString("lastEvent", status.LastEvent);
        json.WriteNumber("uptimeMicros", status.UptimeMicros);
        json.WriteNumber("generation", status.Generation);

        // Random 64 bits: a JSON number of other programs holds 53.
        json.WriteString("incarnation", status.Incarnation.ToString("x16", CultureInfo.InvariantCulture));
        json.WriteStartObject("epochs");
        json.WriteNumber("count", status.Epochs);
        json.WriteNumber("open", status.OpenEpoch);
        json.WriteNumber("acked", status.AckedEpoch);
        json.WriteNumber("released", status.ReleasedEpoch);
        json.WriteNumber("committed", status.CommittedEpoch);
        json.WriteNumber("applied", status.AppliedEpoch);
        json.WriteEndObject();
        json.WriteStartObject("pauses");
        json.WriteNumber("count", status.Pauses.Count);
        json.WriteNumber("totalMicros", status.Pauses.TotalNanos / NanosPerMicro);
        json.WriteNumber("p50Micros", status.Pauses.MedianNanos / NanosPerMicro);
        json.WriteNumber("p99Micros", status.Pauses.P99Nanos / NanosPerMicro);
        json.WriteNumber("maxMicros", status.Pauses.MaxNanos / NanosPerMicro);
        WriteNumbers(json, "recentSecondsMaxMicros", status.RecentPauseMicros);
        WriteNumbers(json, "countsByLog2Nanos", status.PauseCounts);
        json.WriteEndObject();
        GuestPhasesJson.Write(json, status);
        json.WriteStartObject("switchOver");
        json.WriteNumber("asked", status.SwitchOver.Asked);
        json.WriteBoolean("isUnderWay", status.SwitchOver.IsUnderWay);
        json.WriteString("error", status.SwitchOver.Error);
        json.WriteEndObject();
        json.WriteNumber("lagMicros", status.LagMicros);
        json.WriteBoolean("hasLease", status.HasLease);
        json.WriteNumber("sentBytes", status.BytesSent);
        json.WriteNumber("receivedBytes", status.BytesReceived);
        json.WriteNumber("dirtyPages", status.DirtyPages);
        json.WriteNumber("copyDoneBytes", status.CopyDoneBytes);
        json.WriteNumber("copyTotalBytes", status.CopyTotalBytes);
        json.WriteStartObject("scrub");
        json.WriteString("state", GuestStates.NameOf(status.Scrub.State));
        json.WriteNumber("bytes", status.Scrub.SentBytes);
        json.WriteNumber("number", status.Scrub.Number);
        json.WriteString("reason", status.Scrub.Reason);
        json.WriteEndObject();
        if (status.Instructions is { } instructions)
        {
            json.WriteNumber("instructions", instructions);
        }

        WriteBalloon(json, status.Balloon);
        json.WriteStartArray("disks");
        foreach (DiskIdentity disk in status.Disks)
        {
            json.WriteStartObject();
            json.WriteString("id", disk.Id);
            json.WriteNumber("bytes", disk.LengthBytes);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartArray("taints");
        foreach (PairTaints taint in GuestStates.AllTaints)
        {
            if (status.Taints.HasFlag(taint))
            {
                json.WriteStringValue(GuestStates.NameOf(taint));
            }
        }

        json.WriteEndArray();
    }

    /// <summary>Reads them back.</summary>
    /// <exception cref="JsonException">A field is missing or of another kind, as of another version.</exception>
    public static GuestStatus Read(JsonElement json)
    {
        try
        {
            JsonElement epochs = json.GetProperty("epochs");
            JsonElement pauses = json.GetProperty("pauses");
            return new GuestStatus
            {
                Role = Enum.Parse<GuestRole>(Text(json, "role"), ignoreCase: true),
                Guest = Text(json, "guest"),
                State = Text(json, "state"),
                Reason = Text(json, "reason"),
                LastEvent = Text(json, "lastEvent"),
                UptimeMicros = Number(json, "uptimeMicros"),
                Generation = json.GetProperty("generation").GetUInt64(),
                Incarnation = ulong.Parse(
                    Text(json, "incarnation"), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture),
                Epochs = Number(epochs, "count"),
                OpenEpoch = epochs.GetProperty("open").GetUInt64(),
                AckedEpoch = epochs.GetProperty("acked").GetUInt64(),
                ReleasedEpoch = epochs.GetProperty("released").GetUInt64(),
                CommittedEpoch = epochs.GetProperty("committed").GetUInt64(),
                AppliedEpoch = epochs.GetProperty("applied").GetUInt64(),
                Pauses = ReadPauses(pauses),
                RecentPauseMicros = ReadNumbers(pauses.GetProperty("recentSecondsMaxMicros")),
                PauseCounts = ReadNumbers(pauses.GetProperty("countsByLog2Nanos")),
                Phases = GuestPhasesJson.ReadPhases(json),
                CutReasons = GuestPhasesJson.ReadCuts(json, out CutReason? lastCut),
                LastCut = lastCut,
                SwitchOver = ReadSwitchOver(json.GetProperty("switchOver")),
                LagMicros = Number(json, "lagMicros"),
                HasLease = json.GetProperty("hasLease").GetBoolean(),
                BytesSent = Number(json, "sentBytes"),
                BytesReceived = Number(json, "receivedBytes"),
                DirtyPages = Number(json, "dirtyPages"),
                CopyDoneBytes = Number(json, "copyDoneBytes"),
                CopyTotalBytes = Number(json, "copyTotalBytes"),
                Scrub = ReadScrub(json.GetProperty("scrub")),
                Instructions = json.TryGetProperty("instructions", out JsonElement count) ? count.GetUInt64() : null,
                Balloon = ReadBalloon(json),
                Disks = ReadDisks(json.GetProperty("disks")),
                Taints = ReadTaints(json.GetProperty("taints")),
            };
        }
        catch (Exception error) when (error is KeyNotFoundException or InvalidOperationException
            or FormatException or ArgumentException or OverflowException)
        {
            throw new JsonException($"no status of this version: {error.Message}", error);
        }
    }

    private static PauseSummary ReadPauses(JsonElement json) => new(
        Number(json, "count"),
        Number(json, "p50Micros") * NanosPerMicro,
        Number(json, "p99Micros") * NanosPerMicro,
        Number(json, "maxMicros") * NanosPerMicro)
    {
        TotalNanos = Number(json, "totalMicros") * NanosPerMicro,
    };

    private static ScrubStatus ReadScrub(JsonElement json) => new(
        Enum.Parse<ScrubState>(Text(json, "state"), ignoreCase: true),
        Number(json, "bytes"),
        (int)Number(json, "number"),
        Text(json, "reason"));

    private static SwitchOverStatus ReadSwitchOver(JsonElement json)
        => new(Number(json, "asked"), json.GetProperty("isUnderWay").GetBoolean(), Text(json, "error"));

    private static DiskIdentity[] ReadDisks(JsonElement json)
    {
        var disks = new List<DiskIdentity>();
        foreach (JsonElement disk in json.EnumerateArray())
        {
            disks.Add(new DiskIdentity(Text(disk, "id"), Number(disk, "bytes")));
        }

        return [.. disks];
    }

    private static PairTaints ReadTaints(JsonElement json)
    {
        PairTaints taints = PairTaints.None;
        foreach (JsonElement taint in json.EnumerateArray())
        {
            taints |= Enum.Parse<PairTaints>(taint.GetString() ?? "", ignoreCase: true);
        }

        return taints;
    }

    private static void WriteBalloon(Utf8JsonWriter json, BalloonStatus? balloon)
    {
        if (balloon is not { } size)
        {
            return;
        }

        json.WriteStartObject("balloon");
        json.WriteNumber("targetBytes", size.TargetBytes);
        json.WriteNumber("actualBytes", size.ActualBytes);
        if (size.FreeBytes is { } free)
        {
            json.WriteNumber("freeBytes", free);
        }

        if (size.AvailableBytes is { } available)
        {
            json.WriteNumber("availableBytes", available);
        }

        json.WriteEndObject();
    }

    private static BalloonStatus? ReadBalloon(JsonElement json)
    {
        if (!json.TryGetProperty("balloon", out JsonElement balloon))
        {
            return null;
        }

        long? free = balloon.TryGetProperty("freeBytes", out _) ? Number(balloon, "freeBytes") : null;
        long? available = balloon.TryGetProperty("availableBytes", out _) ? Number(balloon, "availableBytes") : null;
        return new BalloonStatus(
            Number(balloon, "targetBytes"), Number(balloon, "actualBytes"), free, available);
    }

    private static void WriteNumbers(Utf8JsonWriter json, string name, IReadOnlyList<long> numbers)
    {
        json.WriteStartArray(name);
        foreach (long number in numbers)
        {
            json.WriteNumberValue(number);
        }

        json.WriteEndArray();
    }

    private static long[] ReadNumbers(JsonElement json)
    {
        var numbers = new List<long>();
        foreach (JsonElement number in json.EnumerateArray())
        {
            numbers.Add(number.GetInt64());
        }

        return [.. numbers];
    }

    private static string Text(JsonElement json, string name) => json.GetProperty(name).GetString() ?? "";

    private static long Number(JsonElement json, string name) => json.GetProperty(name).GetInt64();
}
