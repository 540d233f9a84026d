using System;
using System.Net;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Tasks;
using Hypervisor.Core.Host;

namespace Hypervisor.Backends.Console;

/// <summary>
/// A serial line over TCP, one peer at a time; when it leaves, the next one (or the same again) takes over.
/// </summary>
/// <remarks>Output without a peer is dropped, like that of a line without a cable.</remarks>
public sealed class TcpStream : IByteStream
{
    private const int CallAgainMillis = 1000;

    private readonly string _host;
    private readonly int _port;
    private readonly TcpListener? _listener;
    private readonly OutputQueue _output;
    private readonly InputPump _pump = new();
    private readonly TaskCompletionSource _ending = new();
    private readonly TaskCompletionSource _firstPeer = new();
    private readonly bool _waitsForPeer;

    // Written by the connection thread, read by the output thread; Volatile both ways.
    private Socket? _peer;

    private TcpStream(string host, int port, TcpListener? listener, bool waitsForPeer)
    {
        _host = host;
        _port = port;
        _listener = listener;
        _waitsForPeer = waitsForPeer;
        _output = new OutputQueue("serial-tcp", Send);
    }

    /// <inheritdoc/>
    public Func<ReadOnlyMemory<byte>, int>? OnInput { get; set; }

    /// <summary>Port that the peer reaches this end at, or that this end calls.</summary>
    public int Port => _listener is null ? _port : ((IPEndPoint)_listener.LocalEndpoint).Port;

    /// <summary>Calls <paramref name="host"/>, again and again until somebody answers.</summary>
    public static TcpStream Call(string host, int port) => new(host, port, null, waitsForPeer: false);

    /// <summary>Listens for a peer.</summary>
    /// <param name="host">Local name or address.</param>
    /// <param name="port">Port; 0 lets the host choose.</param>
    /// <param name="waitsForPeer">Whether <see cref="Start"/> returns only once a peer is there.</param>
    /// <exception cref="HostException">The address or the port cannot be used.</exception>
    public static TcpStream Listen(string host, int port, bool waitsForPeer)
    {
        try
        {
            var listener = new TcpListener(Dns.GetHostAddresses(host)[0], port);
            listener.Start(1);
            return new TcpStream(host, port, listener, waitsForPeer);
        }
        catch (SocketException error)
        {
            throw new HostException($"serial tcp:{host}:{port}: cannot listen: {error.Message}");
        }
    }

    /// <inheritdoc/>
    public void Start()
    {
        new Thread(Run) { Name = "serial-tcp-input", IsBackground = true }.Start();
        if (_waitsForPeer)
        {
            _firstPeer.Task.Wait();
        }
    }

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> bytes) => _output.Write(bytes);

    /// <inheritdoc/>
    public void Dispose()
    {
        _output.Dispose();
        _ending.TrySetResult();
        _firstPeer.TrySetResult();
        _pump.Stop();
        _listener?.Dispose();
        Volatile.Read(ref _peer)?.Dispose();
    }

    private void Run()
    {
        byte[] bytes = new byte[1024];
        while (!_ending.Task.IsCompleted)
        {
            using Socket? peer = TryConnect();
            if (peer is null)
            {
                _ending.Task.Wait(CallAgainMillis);
                continue;
            }

            peer.NoDelay = true;
            Volatile.Write(ref _peer, peer);
            _firstPeer.TrySetResult();
            int length;
            while ((length = Receive(peer, bytes)) > 0)
            {
                _pump.Deliver(OnInput, bytes.AsMemory(0, length));
            }

            Volatile.Write(ref _peer, null);
        }
    }

    private Socket? TryConnect()
    {
        try
        {
            return _listener is not null
                ? _listener.AcceptSocket()
                : new TcpClient(_host, _port).Client;
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException or InvalidOperationException)
        {
            return null;
        }
    }

    private static int Receive(Socket peer, byte[] bytes)
    {
        try
        {
            return peer.Receive(bytes);
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            return 0;
        }
    }

    private bool Send(ReadOnlySpan<byte> bytes)
    {
        Socket? peer = Volatile.Read(ref _peer);
        try
        {
            while (peer is not null && !bytes.IsEmpty)
            {
                bytes = bytes[peer.Send(bytes)..];
            }
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            // This peer is gone; its thread waits for the next one.
        }

        return true;
    }
}
