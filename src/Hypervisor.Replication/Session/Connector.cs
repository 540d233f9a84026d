using System;
using System.Net.Sockets;
using System.Threading;

namespace Hypervisor.Replication.Session;

/// <summary>Looks for the standby on a thread of its own whenever the session wants one.</summary>
internal sealed class Connector : IDisposable
{
    private readonly string _host;
    private readonly int _port;
    private readonly int _retryMillis;
    private readonly Action<Socket> _onConnected;
    private readonly CancellationTokenSource _end = new();
    private readonly SemaphoreSlim _wanted = new(0);
    private readonly Thread _thread;
    private int _isWanted; // 0 or 1, by exchange

    /// <summary>Starts the thread. <paramref name="onConnected"/> is called on it and owns the socket.</summary>
    public Connector(string host, int port, int retryMillis, Action<Socket> onConnected)
    {
        _host = host;
        _port = port;
        _retryMillis = retryMillis;
        _onConnected = onConnected;
        _thread = new Thread(Run) { Name = "connector", IsBackground = true };
        _thread.Start();
    }

    /// <summary>A standby is wanted; one connection will be tried for until it comes.</summary>
    public void Want()
    {
        if (Interlocked.Exchange(ref _isWanted, 1) == 0)
        {
            _ = _wanted.Release();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _end.Cancel();
        _thread.Join();
        _end.Dispose();
        _wanted.Dispose();
    }

    private void Run()
    {
        try
        {
            for (bool isFirst = true; ; isFirst = false)
            {
                _wanted.Wait(_end.Token);
                if (!isFirst)
                {
                    // A standby that refuses is not asked in a tight loop.
                    _ = _end.Token.WaitHandle.WaitOne(_retryMillis);
                }

                Socket socket = Connect();
                _ = Interlocked.Exchange(ref _isWanted, 0);
                _onConnected(socket);
            }
        }
        catch (OperationCanceledException)
        {
            // Disposed.
        }
    }

    private Socket Connect()
    {
        while (true)
        {
            var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
            try
            {
                // Not ConnectAsync: a socket that was once used so does all of its work by way of the thread pool.
                using (_end.Token.Register(socket.Dispose))
                {
                    socket.Connect(_host, _port);
                }

                if (!_end.IsCancellationRequested)
                {
                    return socket;
                }
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // Not there yet, or disposed meanwhile.
            }

            socket.Dispose();
            _end.Token.WaitHandle.WaitOne(_retryMillis);
            _end.Token.ThrowIfCancellationRequested();
        }
    }
}
