using System;
using System.Buffers;
using System.Text;
using System.Text.Json;
using Hypervisor.Replication.Failover;

namespace Hypervisor.Replication.Session;

/// <summary>What goes to and comes from etcd's JSON gateway. Bytes travel in Base64.</summary>
internal static class EtcdMessage
{
    /// <summary>Where a name and a password are exchanged for a token.</summary>
    internal const string LoginPath = "/v3/auth/authenticate";

    private const string RangePath = "/v3/kv/range";
    private const string TransactionPath = "/v3/kv/txn";

    /// <summary>The path and the body of a question about <paramref name="key"/>.</summary>
    internal static (string Path, byte[] Body) Write(string key, in WitnessRequest request)
    {
        string name = Convert.ToBase64String(Encoding.UTF8.GetBytes(key));
        var body = new ArrayBufferWriter<byte>();
        using var json = new Utf8JsonWriter(body);
        json.WriteStartObject();
        if (request.Desired is not { } desired)
        {
            json.WriteString("key", name);
            json.WriteEndObject();
            json.Flush();
            return (RangePath, body.WrittenSpan.ToArray());
        }

        json.WriteStartArray("compare");
        json.WriteStartObject();
        json.WriteString("key", name);
        json.WriteString("result", "EQUAL");
        if (request.Expected is { } expected)
        {
            json.WriteString("target", "VALUE");
            json.WriteString("value", Encode(expected));
        }
        else
        {
            json.WriteString("target", "CREATE");
            json.WriteString("create_revision", "0"); // there is none
        }

        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteStartArray("success");
        json.WriteStartObject();
        json.WriteStartObject("request_put");
        json.WriteString("key", name);
        json.WriteString("value", Encode(desired));
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteStartArray("failure");
        json.WriteStartObject();
        json.WriteStartObject("request_range");
        json.WriteString("key", name);
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteEndObject();
        json.Flush();
        return (TransactionPath, body.WrittenSpan.ToArray());
    }

    /// <summary>What an answer says. Fields that are false, 0 or empty are left out by the gateway.</summary>
    /// <exception cref="JsonException">Not such an answer.</exception>
    internal static WitnessAnswer Read(ReadOnlyMemory<byte> body, in WitnessRequest request)
    {
        using JsonDocument document = JsonDocument.Parse(body);
        JsonElement answer = document.RootElement;
        if (!answer.TryGetProperty("header", out _))
        {
            throw new JsonException("not an answer of etcd");
        }

        if (request.Desired is null)
        {
            return new WitnessAnswer(request.Id, WitnessOutcome.Done, ReadRecord(answer));
        }

        bool isDone = answer.TryGetProperty("succeeded", out JsonElement succeeded) && succeeded.GetBoolean();
        if (isDone)
        {
            return new WitnessAnswer(request.Id, WitnessOutcome.Done, request.Desired);
        }

        JsonElement found = answer.GetProperty("responses")[0].GetProperty("response_range");
        return new WitnessAnswer(request.Id, WitnessOutcome.Conflict, ReadRecord(found));
    }

    /// <summary>A log-in.</summary>
    internal static byte[] WriteLogin(string user, string password)
    {
        var body = new ArrayBufferWriter<byte>();
        using var json = new Utf8JsonWriter(body);
        json.WriteStartObject();
        json.WriteString("name", user);
        json.WriteString("password", password);
        json.WriteEndObject();
        json.Flush();
        return body.WrittenSpan.ToArray();
    }

    /// <summary>The token of an answer to a log-in.</summary>
    internal static string ReadToken(ReadOnlyMemory<byte> body)
    {
        using JsonDocument document = JsonDocument.Parse(body);
        return document.RootElement.TryGetProperty("token", out JsonElement token) && token.GetString() is { } text
            ? text
            : throw new JsonException("no token in the answer to the log-in");
    }

    private static string Encode(WitnessRecord record)
    {
        byte[] bytes = new byte[WitnessRecord.Bytes];
        record.Write(bytes);
        return Convert.ToBase64String(bytes);
    }

    private static WitnessRecord? ReadRecord(JsonElement range)
        => range.TryGetProperty("kvs", out JsonElement values) && values.GetArrayLength() > 0
            ? WitnessRecord.Read(values[0].GetProperty("value").GetBytesFromBase64())
            : null;
}
