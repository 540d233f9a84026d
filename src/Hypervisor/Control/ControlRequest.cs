using System;
using System.Text.Json;

namespace Hypervisor.Control;

/// <summary>One request on a control socket: `{"command":"NAME"}`; fields that nobody knows are refused.</summary>
/// <param name="Command">One of <see cref="ControlCommands"/>.</param>
internal sealed record ControlRequest(string Command)
{
    private const string Allowed = "allowed: \"command\":\"NAME\", \"follow\":true|false, \"bytes\":N, "
        + "\"disk\":\"ID\", \"shrink\":true|false";
    private const int DepthMax = 2;

    /// <summary>`"follow"`, of events: whether to go on after the history; true when left out.</summary>
    public bool Follows { get; init; } = true;

    /// <summary>`"disk"`: id of a disk; null when left out.</summary>
    public string? Disk { get; init; }

    /// <summary>`"shrink"`, of a resize: whether what is behind the new size may be lost.</summary>
    public bool Shrinks { get; init; }

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
            if (field.NameEquals("command") && field.Value.ValueKind == JsonValueKind.String)
            {
                request = request with { Command = field.Value.GetString()! };
            }
            else if (field.NameEquals("follow") && field.Value.ValueKind is JsonValueKind.True or JsonValueKind.False)
            {
                request = request with { Follows = field.Value.GetBoolean() };
            }
            else if (field.NameEquals("shrink") && field.Value.ValueKind is JsonValueKind.True or JsonValueKind.False)
            {
                request = request with { Shrinks = field.Value.GetBoolean() };
            }
            else if (field.NameEquals("disk") && field.Value.ValueKind == JsonValueKind.String)
            {
                request = request with { Disk = field.Value.GetString() };
            }
            else if (field.NameEquals("bytes") && field.Value.ValueKind == JsonValueKind.Number
                && field.Value.TryGetInt64(out long bytes))
            {
                request = request with { Bytes = bytes };
            }
            else
            {
                error = $"field '{field.Name}' is not understood; {Allowed}";
                return null;
            }
        }

        bool isKnown = Array.Exists(ControlCommands.All, known => known.Name == request.Command);
        error = isKnown ? "" : request.Command.Length == 0 ? $"command: missing; allowed: {ControlCommands.Names}"
            : $"command '{request.Command}' is not known; allowed: {ControlCommands.Names}";
        return isKnown ? request : null;
    }
}
