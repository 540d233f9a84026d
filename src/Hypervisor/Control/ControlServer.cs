using System;
using System.Collections.Generic;
using System.IO;
using System.Net.Sockets;
using System.Threading;

namespace Hypervisor.Control;

/// <summary>Answers on a control socket: a thread that accepts, and one for each client.</summary>
internal sealed class ControlServer : IDisposable
{
    /// <summary>Clients at the same time: a thread and 64 KiB each.</summary>
    public const int ClientsMax = 16;

    private const int AcceptAgainMillis = 100;

    private readonly string _path;
    private readonly DateTime _madeAt; // of the socket's file: tells it from another one at the same path
    private readonly GuestWatch _watch;
    private readonly Socket _listener;
    private readonly Thread _thread;
    private readonly ManualResetEventSlim _isEnding = new(false);
    private readonly Lock _lock = new(); // protects the list below
    private readonly List<ControlConnection> _clients = [];

    /// <summary>Listens.</summary>
    /// <exception cref="CommandLine.FailureException">The path cannot be had.</exception>
    public ControlServer(string path, GuestWatch watch)
    {
        _path = Path.GetFullPath(path);
        _watch = watch;
        _listener = ControlSocket.Listen(path, ClientsMax);
        _madeAt = File.GetLastWriteTimeUtc(_path);
        _thread = new Thread(Accept) { Name = "control", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Ends all connections and removes the socket.</summary>
    public void Dispose()
    {
        // First: nobody else can have the path while this one answers. Unless somebody has removed it by hand.
        if (Path.Exists(_path) && File.GetLastWriteTimeUtc(_path) == _madeAt)
        {
            File.Delete(_path);
        }

        _isEnding.Set();
        _listener.Dispose();
        _thread.Join();
        ControlConnection[] clients;
        lock (_lock)
        {
            clients = [.. _clients];
        }

        Array.ForEach(clients, client => client.RequestEnd());
        Array.ForEach(clients, client => client.Dispose());
        _isEnding.Dispose();
    }

    private void Accept()
    {
        while (!_isEnding.IsSet)
        {
            try
            {
                Serve(_listener.Accept());
            }
            catch (SocketException)
            {
                _ = _isEnding.Wait(AcceptAgainMillis); // it left again, or there is no descriptor for it now
            }
            catch (ObjectDisposedException)
            {
                return;
            }
        }
    }

    private void Serve(Socket socket)
    {
        lock (_lock)
        {
            if (_clients.Count < ClientsMax)
            {
                var client = new ControlConnection(socket, _watch, Forget);
                _clients.Add(client);
                client.Start();
                return;
            }
        }

        using (socket)
        {
            // A fresh socket has room for a line: this does not wait.
            string error = $"{ClientsMax} clients are connected; allowed: {ClientsMax}";
            _ = socket.Send(ControlAnswer.Refused(error).Span);
        }
    }

    private void Forget(ControlConnection client)
    {
        lock (_lock)
        {
            _ = _clients.Remove(client);
        }
    }
}
