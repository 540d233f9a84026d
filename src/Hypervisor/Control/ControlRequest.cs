using System;
using System.Text.Json;

namespace Hypervisor.Control;

/// <summary>One request on a control socket: `{"command":"NAME"}`; fields that nobody knows are refused.</summary>
/// <param name="Command">One of <see cref="ControlCommands"/>.</param>
/// <param name="Follows">`"follow"`, of events: whether to go on after the history; true when left out.</param>
/// <param name="BytesPerSecond">`"rate"`, of scrub; <see cref="UsualRate"/> when left out.</param>
internal readonly record struct ControlRequest(string Command, bool Follows, long BytesPerSecond)
{
    /// <summary>How fast a scrub reads if nobody says: 64 MiB a second.</summary>
    public const long UsualRate = 64 << 20;

    /// <summary>The slowest rate: 64 KiB a second.</summary>
    public const long RateMin = 64 << 10;

    private const int DepthMax = 2;

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

    private static ControlRequest? TryRead(JsonElement json, out string error)
    {
        if (json.ValueKind != JsonValueKind.Object)
        {
            error = $"the line is {GuestStates.NameOf(json.ValueKind)}; allowed: {{\"command\":\"NAME\"}}";
            return null;
        }

        string? command = null;
        bool follows = true;
        long rate = UsualRate;
        foreach (JsonProperty field in json.EnumerateObject())
        {
            if (field.NameEquals("command") && field.Value.ValueKind == JsonValueKind.String)
            {
                command = field.Value.GetString();
            }
            else if (field.NameEquals("follow") && field.Value.ValueKind is JsonValueKind.True or JsonValueKind.False)
            {
                follows = field.Value.GetBoolean();
            }
            else if (field.NameEquals("rate") && field.Value.ValueKind == JsonValueKind.Number
                && field.Value.TryGetInt64(out long number) && number >= RateMin)
            {
                rate = number;
            }
            else
            {
                error = $"field '{field.Name}' is not understood; allowed: \"command\":\"NAME\", "
                    + $"\"follow\":true|false, \"rate\": {RateMin} and more";
                return null;
            }
        }

        bool isKnown = Array.Exists(ControlCommands.All, known => known.Name == command);
        error = isKnown ? "" : command is null ? $"command: missing; allowed: {ControlCommands.Names}"
            : $"command '{command}' is not known; allowed: {ControlCommands.Names}";
        return isKnown ? new ControlRequest(command!, follows, rate) : null;
    }
}
