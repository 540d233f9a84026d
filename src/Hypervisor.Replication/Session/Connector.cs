using System;
using System.Net.Sockets;
using System.Threading;
using Hypervisor.Core.Time;
using Hypervisor.Replication.Link;

namespace Hypervisor.Replication.Session;

/// <summary>Looks for the standby on a thread of its own whenever the session wants one.</summary>
internal sealed class Connector : IDisposable
{
    private readonly string _host;
    private readonly int _port;
    private readonly int _retryMillis;
    private readonly LinkSecurity _security;
    private readonly IHostClock _clock;
    private readonly Action<PeerStream> _onConnected;
    private readonly Action<string> _onRefused;
    private readonly CancellationTokenSource _end = new();
    private readonly SemaphoreSlim _wanted = new(0);
    private readonly Thread _thread;
    private int _isWanted; // 0 or 1, by exchange

    /// <summary>
    /// Starts the thread. Both actions are called on it; <paramref name="onConnected"/> owns the stream,
    /// <paramref name="onRefused"/> gets a line about somebody there who is not the standby that is meant.
    /// </summary>
    public Connector(PrimarySetup setup, Action<PeerStream> onConnected, Action<string> onRefused)
    {
        _host = setup.StandbyHost;
        _port = setup.StandbyPort;
        _retryMillis = setup.ReconnectMillis;
        _security = setup.Security;
        _clock = setup.Clock;
        _onConnected = onConnected;
        _onRefused = onRefused;
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

    /// <summary>Ends the thread. Who is wanted from now on is not looked for.</summary>
    public void Stop()
    {
        _end.Cancel();
        _thread.Join();
    }

    /// <inheritdoc/>
    /// <remarks>Once nobody calls <see cref="Want"/> any more.</remarks>
    public void Dispose()
    {
        Stop();
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

                PeerStream peer = Connect();
                _ = Interlocked.Exchange(ref _isWanted, 0);
                _onConnected(peer);
            }
        }
        catch (OperationCanceledException)
        {
            // Disposed.
        }
    }

    private PeerStream Connect()
    {
        while (true)
        {
            Socket? socket = null;
            try
            {
                socket = new Socket(SocketType.Stream, ProtocolType.Tcp); // fails when there is no descriptor left
                // Not ConnectAsync: a socket that was once used so does all of its work by way of the thread pool.
                using (_end.Token.Register(socket.Dispose))
                {
                    socket.Connect(_host, _port);
                    PeerStream peer = _security.Secure(
                        socket, LinkRole.Caller, _clock, LinkSecurity.HandshakeTimeMax);
                    if (!_end.IsCancellationRequested)
                    {
                        return peer;
                    }

                    peer.Dispose();
                }
            }
            catch (LinkEndException e)
            {
                _onRefused($"{_host}:{_port}: {e.Message}");
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // Not there yet, or disposed meanwhile.
            }

            socket?.Dispose();
            _end.Token.WaitHandle.WaitOne(_retryMillis);
            _end.Token.ThrowIfCancellationRequested();
        }
    }
}
