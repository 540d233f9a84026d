using System;
using System.Text.Json;
using Hypervisor.Sessions;

namespace Hypervisor.Control;

/// <summary>One request on a control socket: `{"command":"NAME"}`; fields that nobody knows are refused.</summary>
/// <param name="Command">One of <see cref="ControlCommands"/>.</param>
/// <param name="Follows">`"follow"`, of events: whether to go on after the history; true when left out.</param>
/// <param name="BytesPerSecond">`"rate"`, of scrub; <see cref="UsualRate"/> when left out.</param>
/// <param name="Drill">`"forMillis"` and `"until"`, of a drill.</param>
internal readonly record struct ControlRequest(string Command, bool Follows, long BytesPerSecond, DrillTerms Drill)
{
    /// <summary>How fast a scrub reads if nobody says: 64 MiB a second.</summary>
    public const long UsualRate = 64 << 20;

    /// <summary>The slowest rate: 64 KiB a second.</summary>
    public const long RateMin = 64 << 10;

    private const int DepthMax = 2;
    private const string Allowed = "\"command\":\"NAME\", \"follow\":true|false, \"forMillis\":N, \"until\":\"REGEX\"";

    /// <summary>How long a drill runs when nothing else is said.</summary>
    public static readonly TimeSpan DrillTime = TimeSpan.FromSeconds(10);

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
        var drill = new DrillTerms(DrillTime, null);
        foreach (JsonProperty field in json.EnumerateObject())
        {
            JsonElement value = field.Value;
            if (field.NameEquals("command") && value.ValueKind == JsonValueKind.String)
            {
                command = value.GetString();
            }
            else if (field.NameEquals("follow") && value.ValueKind is JsonValueKind.True or JsonValueKind.False)
            {
                follows = value.GetBoolean();
            }
            else if (field.NameEquals("rate") && value.ValueKind == JsonValueKind.Number
                && value.TryGetInt64(out long number) && number >= RateMin)
            {
                rate = number;
            }
            else if (!TryReadDrill(field, ref drill))
            {
                error = $"field '{field.Name}' is not understood; allowed: {Allowed}";
                return null;
            }
        }

        bool isKnown = Array.Exists(ControlCommands.All, known => known.Name == command);
        error = isKnown ? "" : command is null ? $"command: missing; allowed: {ControlCommands.Names}"
            : $"command '{command}' is not known; allowed: {ControlCommands.Names}";
        return isKnown ? new ControlRequest(command!, follows, rate, drill) : null;
    }

    private static bool TryReadDrill(JsonProperty field, ref DrillTerms drill)
    {
        JsonElement value = field.Value;
        if (field.NameEquals("forMillis") && value.ValueKind == JsonValueKind.Number
            && value.TryGetInt64(out long millis) && millis > 0 && millis <= (long)DrillTerms.TimeMax.TotalMilliseconds)
        {
            drill = drill with { Time = TimeSpan.FromMilliseconds(millis) };
            return true;
        }

        if (!field.NameEquals("until") || value.ValueKind != JsonValueKind.String)
        {
            return false;
        }

        try
        {
            drill = drill with { Until = DrillTerms.Pattern(value.GetString()!) };
            return true;
        }
        catch (Exception error) when (error is ArgumentException or NotSupportedException)
        {
            return false;
        }
    }
}
