using System;
using System.Collections.Generic;
using System.Net;
using System.Net.Sockets;
using System.Threading;
using Hypervisor.CommandLine;
using Hypervisor.Core.Host;
using Hypervisor.Core.Time;

namespace Hypervisor.Control;

/// <summary>Serves `GET /metrics` over HTTP/1.1, one request a connection, all of them on one thread.</summary>
internal sealed class MetricsServer : IDisposable
{
    /// <summary>Connections at the same time; others wait in the host's queue.</summary>
    public const int ConnectionsMax = 8;

    private const int AcceptAgainMillis = 100;
    private const int LookMicros = 100_000; // how long the end of the program and deadlines may wait

    private readonly Func<string> _metrics;
    private readonly IHostClock _clock;
    private readonly long _patienceNanos;
    private readonly Socket _listener;
    private readonly Thread _thread;
    private readonly List<MetricsConnection> _connections = []; // of the thread
    private readonly ManualResetEventSlim _isEnding = new(false);

    /// <summary>Listens; port 0 lets the host choose.</summary>
    /// <param name="where">Address.</param>
    /// <param name="metrics">Writes the page; called on the server's thread.</param>
    /// <param name="clock">For deadlines.</param>
    /// <param name="patience">How long a request and its answer may take; 5 s when left out.</param>
    /// <exception cref="FailureException">The address cannot be had.</exception>
    public MetricsServer(Endpoint where, Func<string> metrics, IHostClock clock, TimeSpan? patience = null)
    {
        _metrics = metrics;
        _clock = clock;
        _patienceNanos = (patience ?? TimeSpan.FromSeconds(5)).Ticks * TimeSpan.NanosecondsPerTick;
        Socket? listener = null;
        try
        {
            IPAddress address = HostAddress.Resolve(where.Host);
            listener = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            listener.Bind(new IPEndPoint(address, where.Port));
            listener.Listen(ConnectionsMax);
            listener.Blocking = false;
            _listener = listener;
        }
        catch (SocketException error)
        {
            listener?.Dispose();
            throw new FailureException($"--metrics {where}: {HostErrors.Explain(error, "")}");
        }

        _thread = new Thread(Run) { Name = "metrics", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Port that it listens at.</summary>
    public int Port => ((IPEndPoint)_listener.LocalEndPoint!).Port;

    /// <inheritdoc/>
    public void Dispose()
    {
        _isEnding.Set();
        _thread.Join();
        _listener.Dispose();
        _connections.ForEach(connection => connection.Dispose());
        _isEnding.Dispose();
    }

    private void Run()
    {
        var readable = new List<Socket>();
        var writable = new List<Socket>();
        while (!_isEnding.IsSet)
        {
            readable.Clear();
            writable.Clear();
            if (_connections.Count < ConnectionsMax)
            {
                readable.Add(_listener);
            }

            foreach (MetricsConnection connection in _connections)
            {
                (connection.IsSending ? writable : readable).Add(connection.Socket);
            }

            Socket.Select(readable, writable, null, LookMicros);
            Serve(readable, writable);
            if (readable.Contains(_listener))
            {
                Accept();
            }
        }
    }

    private void Serve(List<Socket> readable, List<Socket> writable)
    {
        long now = _clock.NowNanos;
        foreach (MetricsConnection connection in _connections)
        {
            if (readable.Contains(connection.Socket) || writable.Contains(connection.Socket))
            {
                connection.OnReady();
            }

            if (!connection.IsOver && now >= connection.DeadlineNanos)
            {
                connection.OnDeadline();
            }

            if (connection.IsOver)
            {
                connection.Dispose();
            }
        }

        _ = _connections.RemoveAll(connection => connection.IsOver);
    }

    private void Accept()
    {
        try
        {
            _connections.Add(new MetricsConnection(_listener.Accept(), _metrics, _clock.NowNanos + _patienceNanos));
        }
        catch (SocketException)
        {
            _ = _isEnding.Wait(AcceptAgainMillis); // it left again, or there is no descriptor for it now
        }
    }
}
