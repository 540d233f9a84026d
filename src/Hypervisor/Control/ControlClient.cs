using System;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Hypervisor.CommandLine;
using Hypervisor.Sessions;

namespace Hypervisor.Control;

/// <summary>Asks a running guest over its control socket. For one thread.</summary>
internal sealed class ControlClient : IDisposable
{
    private const int AnswerMillisMax = 5000;
    private const int DrillMillisMore = 60_000; // for a copy of all RAM, and for tidying up

    private readonly string _path;
    private readonly Socket _socket;
    private readonly LineReader _lines;

    /// <summary>Connects.</summary>
    /// <exception cref="FailureException">Nobody is there.</exception>
    public ControlClient(string path)
    {
        _path = path;
        _socket = ControlSocket.Connect(path);
        _socket.SendTimeout = AnswerMillisMax;
        _socket.ReceiveTimeout = AnswerMillisMax;
        _lines = new LineReader(_socket);
    }

    /// <summary>Asks and waits for the answer.</summary>
    /// <returns>The answer's line.</returns>
    /// <exception cref="FailureException">It was refused, or the answer did not come.</exception>
    public string Ask(string command) => Ask(new ControlRequest(command));

    /// <summary>Asks and waits for the answer.</summary>
    /// <returns>The answer's line.</returns>
    /// <exception cref="FailureException">It was refused, or the answer did not come.</exception>
    public string Ask(ControlRequest request)
    {
        try
        {
            Send(request);
        }
        catch (SocketException)
        {
            // What closed the connection may have left its reason to be read.
        }

        string line = ReadLine() ?? throw new FailureException($"--control {_path}: closed without an answer");
        using JsonDocument answer = Parse(line);
        return answer.RootElement.TryGetProperty("ok", out JsonElement ok) && ok.ValueKind == JsonValueKind.True
            ? line
            : throw new FailureException(
                answer.RootElement.TryGetProperty("error", out JsonElement error) ? $"{error}" : $"refused: {line}");
    }

    /// <summary>Asks for a drill and waits for its end.</summary>
    /// <param name="time">How long it may run.</param>
    /// <param name="until">The pattern that its console is to print; null: none.</param>
    /// <exception cref="FailureException">It was refused, or the answer did not come.</exception>
    public JsonDocument AskDrill(TimeSpan time, string? until)
    {
        long millis = (long)time.TotalMilliseconds;
        _socket.ReceiveTimeout = (int)millis + DrillMillisMore;
        Regex? pattern = until is null ? null : DrillTerms.Pattern(until);
        return Parse(Ask(new ControlRequest(ControlCommands.Drill) { Drill = new DrillTerms(time, pattern) }));
    }

    /// <summary>Asks for the status.</summary>
    /// <exception cref="FailureException">The answer did not come, or is of another version.</exception>
    public GuestStatus AskStatus()
    {
        using JsonDocument answer = Parse(Ask(ControlCommands.Status));
        try
        {
            return GuestStatusJson.Read(answer.RootElement);
        }
        catch (JsonException error)
        {
            throw new FailureException($"--control {_path}: {error.Message}");
        }
    }

    /// <summary>Asks for events.</summary>
    /// <param name="follows">Whether to go on after the history.</param>
    /// <returns>How many have happened already; their lines, and those to come, are read one by one.</returns>
    /// <exception cref="FailureException">It was refused, or the answer did not come.</exception>
    public int AskEvents(bool follows)
    {
        using JsonDocument answer = Parse(Ask(new ControlRequest(ControlCommands.Events) { Follows = follows }));
        _socket.ReceiveTimeout = follows ? 0 : AnswerMillisMax; // the next event may be a long time coming
        return answer.RootElement.TryGetProperty("history", out JsonElement count) ? count.GetInt32() : 0;
    }

    /// <summary>The next line; null at the end.</summary>
    /// <exception cref="FailureException">It did not come in time.</exception>
    public string? ReadLine()
    {
        try
        {
            return _lines.TryRead(out ReadOnlyMemory<byte> line, out _) ? Encoding.UTF8.GetString(line.Span) : null;
        }
        catch (SocketException error) when (error.SocketErrorCode is SocketError.TimedOut or SocketError.WouldBlock)
        {
            throw new FailureException($"--control {_path}: no answer within {AnswerMillisMax} ms");
        }
        catch (SocketException)
        {
            return null;
        }
    }

    /// <summary>Waits until the other side closes: until the guest's process is through.</summary>
    /// <exception cref="FailureException">It did not close in time.</exception>
    public void WaitForEnd(int patienceMillis)
    {
        _socket.ReceiveTimeout = patienceMillis;
        try
        {
            _ = _lines.TryRead(out _, out _);
        }
        catch (SocketException error) when (error.SocketErrorCode is SocketError.TimedOut or SocketError.WouldBlock)
        {
            throw new FailureException($"--control {_path}: asked, but not over after {patienceMillis / 1000} s");
        }
        catch (SocketException)
        {
            // closed with force is closed
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();

    private JsonDocument Parse(string line)
    {
        try
        {
            JsonDocument document = JsonDocument.Parse(line);
            if (document.RootElement.ValueKind == JsonValueKind.Object)
            {
                return document;
            }

            document.Dispose();
        }
        catch (JsonException)
        {
            // said below
        }

        throw new FailureException($"--control {_path}: the answer is none of ours: {line}");
    }

    private void Send(ControlRequest request)
    {
        var buffer = new System.Buffers.ArrayBufferWriter<byte>(64);
        using (var json = new Utf8JsonWriter(buffer))
        {
            request.Write(json);
        }

        System.Buffers.BuffersExtensions.Write(buffer, "\n"u8);
        _ = _socket.Send(buffer.WrittenSpan);
    }
}
