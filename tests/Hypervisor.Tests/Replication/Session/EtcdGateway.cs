using System;
using System.Collections.Generic;
using System.IO;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Threading;
using Hypervisor.Replication.Failover;

namespace Hypervisor.Tests.Replication.Session;

/// <summary>What etcd's JSON gateway does with one key, and with the ways in which it can fail.</summary>
internal sealed class EtcdGateway : IDisposable
{
    internal const string Password = "secret";

    // What a conflict with no record shows.
    private const string NothingFound = "\"responses\":[{\"response_range\":{\"header\":{}}}]";

    private readonly HttpListener _listener = new();
    private readonly HashSet<string> _tokens = [];
    private string? _value;

    internal EtcdGateway()
    {
        Uri = new Uri($"http://127.0.0.1:{FreePort()}/");
        _listener.Prefixes.Add(Uri.ToString());
        _listener.Start();
        new Thread(Run) { IsBackground = true }.Start();
    }

    internal enum Fault
    {
        None,
        ServiceUnavailable,
        Silence,
        SilenceAfterSwap,
        Garbage,
        EmptyObject,
        Endless,
        SucceededAsText,
        SucceededAsNumber,
        SucceededWithoutHeader,
        ConflictWithoutResponses,
        ShortRecord,
    }

    internal Uri Uri { get; }

    internal Fault Failure { get; set; }

    internal bool NeedsLogin { get; set; }

    internal string? LastKey { get; private set; }

    public void Dispose()
    {
        _listener.Abort(); // with questions that are never answered
        _listener.Close();
    }

    internal void ForgetTokens() => _tokens.Clear();

    internal static int FreePort()
    {
        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }

    private void Run()
    {
        while (true)
        {
            try
            {
                Answer(_listener.GetContext());
            }
            catch (Exception e) when (e is HttpListenerException or ObjectDisposedException or IOException)
            {
                if (!_listener.IsListening)
                {
                    return;
                }
            }
        }
    }

    private void Answer(HttpListenerContext context)
    {
        JsonNode question = JsonNode.Parse(new StreamReader(context.Request.InputStream).ReadToEnd())!;
        string path = context.Request.Url!.AbsolutePath;
        switch (Failure)
        {
            case Fault.ServiceUnavailable:
                Send(context, "{\"error\":\"etcdserver: no leader\",\"code\":14}", 503);
                return;
            case Fault.Silence:
                return;
        }

        if (Misshapen(Failure) is { } text)
        {
            Send(context, text);
            return;
        }

        if (path == "/v3/auth/authenticate")
        {
            string token = Guid.NewGuid().ToString();
            bool isKnown = (string?)question["password"] == Password;
            _ = isKnown && _tokens.Add(token);
            Send(context, isKnown ? $"{{\"header\":{{}},\"token\":\"{token}\"}}" : "{}", isKnown ? 200 : 400);
            return;
        }

        if (NeedsLogin && !_tokens.Contains(context.Request.Headers["Authorization"] ?? ""))
        {
            Send(context, "{\"error\":\"etcdserver: invalid auth token\",\"code\":16}", 401);
            return;
        }

        string answer = path == "/v3/kv/range" ? $"{{\"header\":{{}}{Values()}}}" : Swap(question);
        LastKey = (string?)question["key"] ?? LastKey;
        if (Failure != Fault.SilenceAfterSwap)
        {
            Send(context, answer);
        }
    }

    // Answers to a swap, each with one thing wrong: nothing else keeps them from being taken.
    private static string? Misshapen(Fault fault) => fault switch
    {
        Fault.Garbage => "<html>",
        Fault.EmptyObject => "{}",
        Fault.Endless => $"{{\"header\":{{}},\"succeeded\":true{new string(' ', 1 << 20)}}}",
        Fault.SucceededAsText => $"{{\"header\":{{}},\"succeeded\":\"true\",{NothingFound}}}",
        Fault.SucceededAsNumber => $"{{\"header\":{{}},\"succeeded\":1,{NothingFound}}}",
        Fault.SucceededWithoutHeader => "{\"succeeded\":true}",
        Fault.ConflictWithoutResponses => "{\"header\":{}}",
        Fault.ShortRecord => $"{{\"header\":{{}},\"responses\":[{{\"response_range\":{{\"header\":{{}}"
            + $",\"kvs\":[{{\"value\":\"{Convert.ToBase64String(ShortRecord())}\"}}]}}}}]}}",
        Fault.None or Fault.ServiceUnavailable or Fault.Silence or Fault.SilenceAfterSwap => null,
    };

    private static byte[] ShortRecord()
    {
        byte[] whole = new byte[WitnessRecord.Bytes];
        WitnessContract.Record(Guid.Empty, 1).Write(whole);
        return whole[..^1];
    }

    private string Swap(JsonNode question)
    {
        JsonNode compare = question["compare"]![0]!;
        bool isEqual = (string?)compare["target"] == "CREATE" ? _value is null : (string?)compare["value"] == _value;
        if (!isEqual)
        {
            return $"{{\"header\":{{}},\"responses\":[{{\"response_range\":{{\"header\":{{}}{Values()}}}}}]}}";
        }

        _value = (string?)question["success"]![0]!["request_put"]!["value"];
        return "{\"header\":{},\"succeeded\":true,\"responses\":[{\"response_put\":{\"header\":{}}}]}";
    }

    private string Values()
        => _value is null ? "" : $",\"kvs\":[{{\"value\":{JsonSerializer.Serialize(_value)}}}],\"count\":\"1\"";

    private static void Send(HttpListenerContext context, string text, int status = 200)
    {
        context.Response.StatusCode = status;
        context.Response.Close(Encoding.UTF8.GetBytes(text), willBlock: false);
    }
}
