using System;
using System.Buffers;
using System.Globalization;
using System.Text.Json;
using Hypervisor.CommandLine;

namespace Hypervisor.Sessions;

/// <summary>Status events as lines: for people, and as JSON for the process that started this one.</summary>
internal static class StatusText
{
    private static readonly (StatusKind Kind, string Name)[] s_kinds =
    [
        (StatusKind.Listening, "listening"),
        (StatusKind.State, "state"),
        (StatusKind.Copying, "copying"),
        (StatusKind.Epoch, "epoch"),
        (StatusKind.Takeover, "takeover"),
        (StatusKind.Running, "running"),
        (StatusKind.Unprotected, "unprotected"),
        (StatusKind.Ended, "ended"),
    ];

    /// <summary>One line for people, without a line end.</summary>
    public static string Describe(StatusEvent status) => status.Kind switch
    {
        StatusKind.Listening => $"standby listens on port {status.Port}",
        StatusKind.State => status.Message,
        StatusKind.Copying => $"full copy {Megabytes(status.DoneBytes)} of {Megabytes(status.TotalBytes)}",
        StatusKind.Epoch => string.Create(
            CultureInfo.InvariantCulture,
            $"epoch {status.Epoch} · pause {status.PauseMicros / 1000.0:0.00} ms · "
            + $"dirty {status.DirtyPages} pages · sent {Megabytes(status.BytesSent)} · "
            + $"lag {status.LagMicros / 1000.0:0.0} ms · {status.Message}"),
        StatusKind.Takeover => $"takeover from epoch {status.Epoch}: {status.Message}",
        StatusKind.Running => $"guest runs · {status.Message}",
        StatusKind.Unprotected => $"UNPROTECTED: {status.Message}",
        StatusKind.Ended => $"ended: {status.Message}",
    };

    /// <summary>One JSON object on one line, UTF-8, with the line end.</summary>
    public static ReadOnlyMemory<byte> ToJson(StatusEvent status)
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("kind", Array.Find(s_kinds, entry => entry.Kind == status.Kind).Name);
            json.WriteNumber("atNanos", status.AtNanos);
            json.WriteNumber("epoch", status.Epoch);
            json.WriteNumber("pauseMicros", status.PauseMicros);
            json.WriteNumber("dirtyPages", status.DirtyPages);
            json.WriteNumber("bytesSent", status.BytesSent);
            json.WriteNumber("lagMicros", status.LagMicros);
            json.WriteNumber("doneBytes", status.DoneBytes);
            json.WriteNumber("totalBytes", status.TotalBytes);
            json.WriteNumber("port", status.Port);
            json.WriteNumber("consoleBytes", status.ConsoleBytes);
            json.WriteString("message", HostErrors.OneLine(status.Message));
            json.WriteEndObject();
        }

        buffer.Write("\n"u8);
        return buffer.WrittenMemory;
    }

    /// <summary>Reads a line back; null when it is none of ours.</summary>
    public static StatusEvent? FromJson(string line)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(line);
            JsonElement json = document.RootElement;
            string name = json.GetProperty("kind").GetString() ?? "";
            (StatusKind kind, string known) = Array.Find(s_kinds, entry => entry.Name == name);
            return known is null ? null : new StatusEvent(kind, json.GetProperty("atNanos").GetInt64())
            {
                Epoch = json.GetProperty("epoch").GetInt64(),
                PauseMicros = json.GetProperty("pauseMicros").GetInt64(),
                DirtyPages = json.GetProperty("dirtyPages").GetInt64(),
                BytesSent = json.GetProperty("bytesSent").GetInt64(),
                LagMicros = json.GetProperty("lagMicros").GetInt64(),
                DoneBytes = json.GetProperty("doneBytes").GetInt64(),
                TotalBytes = json.GetProperty("totalBytes").GetInt64(),
                Port = json.GetProperty("port").GetInt32(),
                ConsoleBytes = json.GetProperty("consoleBytes").GetInt64(),
                Message = json.GetProperty("message").GetString() ?? "",
            };
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or FormatException
            or System.Collections.Generic.KeyNotFoundException)
        {
            return null; // half a line of a process that was killed
        }
    }

    private static string Megabytes(long bytes)
        => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1048576.0:0.0} MiB");
}
