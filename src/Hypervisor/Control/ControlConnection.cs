using System;
using System.Collections.Generic;
using System.Net.Sockets;
using System.Threading;
using Hypervisor.Sessions;

namespace Hypervisor.Control;

/// <summary>One client of the control socket, on a thread of its own.</summary>
internal sealed class ControlConnection : IDisposable
{
    private const int SendMillisMax = 1000; // who does not read for so long is dropped
    private const int LookMillis = 200; // how often a stream looks whether its client is there

    private readonly Socket _socket;
    private readonly GuestWatch _watch;
    private readonly Action<ControlConnection> _onEnd;
    private readonly Thread _thread;

    /// <summary>Serves; owns the socket.</summary>
    /// <param name="socket">The client.</param>
    /// <param name="watch">What is to be seen.</param>
    /// <param name="onEnd">Called on the connection's thread when nothing more will be said.</param>
    public ControlConnection(Socket socket, GuestWatch watch, Action<ControlConnection> onEnd)
    {
        _socket = socket;
        _socket.SendTimeout = SendMillisMax;
        _watch = watch;
        _onEnd = onEnd;
        _thread = new Thread(Run) { Name = "control-client", IsBackground = true };
    }

    /// <summary>Begins.</summary>
    public void Start() => _thread.Start();

    /// <summary>Makes it end: it answers what it has, and waits for no more requests. Any thread.</summary>
    public void RequestEnd()
    {
        try
        {
            _socket.Shutdown(SocketShutdown.Receive);
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            // it has ended
        }
    }

    /// <summary>Waits for its end; bounded by the patience with a client that does not read.</summary>
    public void Dispose()
    {
        RequestEnd();
        _thread.Join();
    }

    private void Run()
    {
        try
        {
            Serve();
        }
        catch (SocketException)
        {
            // it left, or does not read
        }

        _onEnd(this); // first: who sees that it is closed may come back at once
        _socket.Dispose();
    }

    private void Serve()
    {
        var lines = new LineReader(_socket);
        while (lines.TryRead(out ReadOnlyMemory<byte> line, out bool isTooLong))
        {
            string error = $"the line is too long; allowed: {LineReader.LineBytesMax} bytes";
            if (isTooLong || ControlRequest.TryParse(line, out error) is not { } request)
            {
                Send(ControlAnswer.Refused(error));
            }
            else if (request.Command == ControlCommands.Events)
            {
                SendEvents(request.Follows);
                if (request.Follows)
                {
                    return; // a stream ends with its connection: the guest is over, or events were lost
                }
            }
            else
            {
                Send(request.Command == ControlCommands.Drill ? Drill(request.Drill) : Answer(request));
            }
        }
    }

    private ReadOnlyMemory<byte> Answer(ControlRequest request) => request.Command switch
    {
        ControlCommands.Status => ControlAnswer.Of(_watch.Status()),
        ControlCommands.Stop => AnswerTo(_watch.Stop("asked for over the control socket")),
        ControlCommands.TakeOver => AnswerTo(_watch.TakeOver()),
        ControlCommands.Scrub => AnswerTo(_watch.Scrub(request.BytesPerSecond)),
        ControlCommands.Balloon => AnswerTo(request.Bytes is { } bytes
            ? _watch.SetMemory(bytes)
            : "balloon: bytes are missing; allowed: \"bytes\":N, what the guest may keep"),
        ControlCommands.Resize => AnswerTo(request is { Bytes: { } size, Disk: { } disk }
            ? _watch.Resize(disk, size, request.Shrinks)
            : "resize: disk or bytes are missing; allowed: \"disk\":\"ID\", \"bytes\":N"),
        _ => ControlAnswer.Commands(),
    };

    /// <summary>Waits for the drill's end; it ends when the client leaves.</summary>
    private ReadOnlyMemory<byte> Drill(DrillTerms terms)
    {
        if (_watch.StartDrill(terms, out StandbyDrill? drill) is { } error)
        {
            return ControlAnswer.Refused(error);
        }

        while (!drill!.Outcome.Wait(LookMillis))
        {
            if (HasLeft())
            {
                drill.End("whoever asked for it left");
            }
        }

        return ControlAnswer.Of(drill.Outcome.Result);
    }

    private static ReadOnlyMemory<byte> AnswerTo(string? error)
        => error is null ? ControlAnswer.Done() : ControlAnswer.Refused(error);

    private void SendEvents(bool follows)
    {
        using EventSubscription subscription = _watch.Events.Subscribe(out IReadOnlyList<StatusEvent> history);
        Send(ControlAnswer.Events(history.Count));
        foreach (StatusEvent past in history)
        {
            Send(StatusText.ToJson(past));
        }

        bool isThere = follows;
        while (isThere && !subscription.IsOver && !subscription.IsOverrun)
        {
            if (subscription.TryTake(LookMillis, out StatusEvent? status))
            {
                Send(StatusText.ToJson(status!));
            }
            else
            {
                isThere = !HasLeft();
            }
        }
    }

    // What a client says while it gets events is thrown away, so that its leaving is seen behind it.
    private bool HasLeft()
    {
        Span<byte> ignored = stackalloc byte[256];
        return _socket.Poll(0, SelectMode.SelectRead) && _socket.Receive(ignored) == 0;
    }

    private void Send(ReadOnlyMemory<byte> line)
    {
        ReadOnlySpan<byte> rest = line.Span;
        while (rest.Length > 0)
        {
            rest = rest[_socket.Send(rest)..];
        }
    }
}
