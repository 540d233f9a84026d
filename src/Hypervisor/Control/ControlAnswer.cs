using System;
using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using Hypervisor.CommandLine;
using Hypervisor.Sessions;

namespace Hypervisor.Control;

/// <summary>Answers on a control socket: one JSON object on one line, with the line end.</summary>
internal static class ControlAnswer
{
    // Not for a web page: letters and dots may be what they are.
    private static readonly JsonWriterOptions s_readable = new()
    {
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>Done, with nothing more to say.</summary>
    public static ReadOnlyMemory<byte> Done() => Write(true, static _ => { });

    /// <summary>Not done, and why: what, where, what is allowed.</summary>
    public static ReadOnlyMemory<byte> Refused(string error)
        => Write(false, json => json.WriteString("error", HostErrors.OneLine(error)));

    /// <summary>Where the guest stands.</summary>
    public static ReadOnlyMemory<byte> Of(GuestStatus status)
        => Write(true, json => GuestStatusJson.Write(json, status));

    /// <summary>What came of a drill.</summary>
    public static ReadOnlyMemory<byte> Of(DrillOutcome outcome) => Write(true, json =>
    {
        json.WriteNumber("epoch", outcome.Epoch);
        json.WriteBoolean("hasPassed", outcome.HasPassed);
        json.WriteString("reason", outcome.Reason);
        json.WriteNumber("instructions", outcome.Instructions);
        json.WriteNumber("copyMicros", outcome.CopyMicros);
        json.WriteNumber("runMicros", outcome.RunMicros);
        json.WriteStartArray("console");
        foreach (string line in outcome.Console)
        {
            json.WriteStringValue(line);
        }

        json.WriteEndArray();
    });

    /// <summary>What can be asked.</summary>
    public static ReadOnlyMemory<byte> Commands() => Write(true, static json =>
    {
        json.WriteStartArray("commands");
        foreach ((string name, string description) in ControlCommands.All)
        {
            json.WriteStartObject();
            json.WriteString("name", name);
            json.WriteString("description", description);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    });

    /// <summary>Events follow, a line each.</summary>
    /// <param name="historyCount">How many of them have happened already.</param>
    public static ReadOnlyMemory<byte> Events(int historyCount)
        => Write(true, json => json.WriteNumber("history", historyCount));

    private static ReadOnlyMemory<byte> Write(bool isDone, Action<Utf8JsonWriter> fields)
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        using (var json = new Utf8JsonWriter(buffer, s_readable))
        {
            json.WriteStartObject();
            json.WriteBoolean("ok", isDone);
            fields(json);
            json.WriteEndObject();
        }

        buffer.Write("\n"u8);
        return buffer.WrittenMemory;
    }
}
