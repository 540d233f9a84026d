using System;
using System.Text.Json;
using Hypervisor.Sessions;

namespace Hypervisor.Control;

/// <summary>One request on a control socket: `{"command":"NAME"}`; fields that nobody knows are refused.</summary>
/// <param name="Command">One of <see cref="ControlCommands"/>.</param>
internal sealed record ControlRequest(string Command)
{
    /// <summary>How fast a scrub reads if nobody says: 64 MiB a second.</summary>
    public const long UsualRate = 64 << 20;

    /// <summary>The slowest rate: 64 KiB a second.</summary>
    public const long RateMin = 64 << 10;

    private const int DepthMax = 2;
    private const string Allowed = "\"command\":\"NAME\", \"follow\":true|false, \"rate\":N, "
        + "\"forMillis\":N, \"until\":\"REGEX\", \"bytes\":N, \"disk\":\"ID\", \"shrink\":true|false";

    /// <summary>How long a drill runs when nothing else is said.</summary>
    public static readonly TimeSpan DrillTime = TimeSpan.FromSeconds(10);

    /// <summary>`"follow"`, of events: whether to go on after the history; true when left out.</summary>
    public bool Follows { get; init; } = true;

    /// <summary>`"disk"`: id of a disk; null when left out.</summary>
    public string? Disk { get; init; }

    /// <summary>`"shrink"`, of a resize: whether what is behind the new size may be lost.</summary>
    public bool Shrinks { get; init; }

    /// <summary>`"rate"`, of scrub, in bytes a second; <see cref="UsualRate"/> when left out.</summary>
    public long BytesPerSecond { get; init; } = UsualRate;

    /// <summary>`"forMillis"` and `"until"`, of a drill.</summary>
    public DrillTerms Drill { get; init; } = new(DrillTime, null);

    /// <summary>`"bytes"`: a size; null when left out.</summary>
    public long? Bytes { get; init; }

    /// <summary>Reads a line.</summary>
    /// <param name="line">The line, without its end.</param>
    /// <param name="error">What is wrong and what is allowed, when there is no request.</param>
    public static ControlRequest? TryParse(ReadOnlyMemory<byte> line, out string error)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(line, new JsonDocumentOptions { MaxDepth = DepthMax });
            return TryRead(document.RootElement, out error);
        }
        catch (JsonException)
        {
            error = "the line is no JSON; allowed: {\"command\":\"NAME\"}";
            return null;
        }
    }

    /// <summary>Writes the object that <see cref="TryParse"/> reads back.</summary>
    public void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject();
        json.WriteString("command", Command);
        if (!Follows)
        {
            json.WriteBoolean("follow", false);
        }

        if (Disk is not null)
        {
            json.WriteString("disk", Disk);
        }

        if (Shrinks)
        {
            json.WriteBoolean("shrink", true);
        }

        if (Bytes is { } bytes)
        {
            json.WriteNumber("bytes", bytes);
        }

        if (BytesPerSecond != UsualRate)
        {
            json.WriteNumber("rate", BytesPerSecond);
        }

        if (Drill.Time != DrillTime)
        {
            json.WriteNumber("forMillis", (long)Drill.Time.TotalMilliseconds);
        }

        if (Drill.Until is { } until)
        {
            json.WriteString("until", $"{until}");
        }

        json.WriteEndObject();
    }

    private static ControlRequest? TryRead(JsonElement json, out string error)
    {
        if (json.ValueKind != JsonValueKind.Object)
        {
            error = $"the line is {GuestStates.NameOf(json.ValueKind)}; allowed: {{\"command\":\"NAME\"}}";
            return null;
        }

        var request = new ControlRequest("");
        foreach (JsonProperty field in json.EnumerateObject())
        {
            JsonElement value = field.Value;
            if (field.NameEquals("command") && value.ValueKind == JsonValueKind.String)
            {
                request = request with { Command = value.GetString()! };
            }
            else if (field.NameEquals("follow") && value.ValueKind is JsonValueKind.True or JsonValueKind.False)
            {
                request = request with { Follows = value.GetBoolean() };
            }
            else if (field.NameEquals("shrink") && value.ValueKind is JsonValueKind.True or JsonValueKind.False)
            {
                request = request with { Shrinks = value.GetBoolean() };
            }
            else if (field.NameEquals("disk") && value.ValueKind == JsonValueKind.String)
            {
                request = request with { Disk = value.GetString() };
            }
            else if (field.NameEquals("bytes") && value.ValueKind == JsonValueKind.Number
                && value.TryGetInt64(out long bytes))
            {
                request = request with { Bytes = bytes };
            }
            else if (field.NameEquals("rate") && value.ValueKind == JsonValueKind.Number
                && value.TryGetInt64(out long number) && number >= RateMin)
            {
                request = request with { BytesPerSecond = number };
            }
            else if (!TryReadDrill(field, ref request))
            {
                error = $"field '{field.Name}' is not understood; allowed: {Allowed}";
                return null;
            }
        }

        bool isKnown = Array.Exists(ControlCommands.All, known => known.Name == request.Command);
        error = isKnown ? "" : request.Command.Length == 0 ? $"command: missing; allowed: {ControlCommands.Names}"
            : $"command '{request.Command}' is not known; allowed: {ControlCommands.Names}";
        return isKnown ? request : null;
    }

    private static bool TryReadDrill(JsonProperty field, ref ControlRequest request)
    {
        JsonElement value = field.Value;
        if (field.NameEquals("forMillis") && value.ValueKind == JsonValueKind.Number
            && value.TryGetInt64(out long millis) && millis > 0 && millis <= (long)DrillTerms.TimeMax.TotalMilliseconds)
        {
            request = request with { Drill = request.Drill with { Time = TimeSpan.FromMilliseconds(millis) } };
            return true;
        }

        if (!field.NameEquals("until") || value.ValueKind != JsonValueKind.String)
        {
            return false;
        }

        try
        {
            request = request with { Drill = request.Drill with { Until = DrillTerms.Pattern(value.GetString()!) } };
            return true;
        }
        catch (Exception error) when (error is ArgumentException or NotSupportedException)
        {
            return false;
        }
    }
}
