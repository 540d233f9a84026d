using System;
using System.Threading;
using System.Threading.Tasks;
using Hypervisor.Backends.Network;
using Hypervisor.Core.Host;

namespace Hypervisor.Backends.Console;

/// <summary>
/// A serial line over TCP, one peer at a time; when it leaves, the next one (or the same again) takes over.
/// </summary>
/// <remarks>Output without a peer is dropped, like that of a line without a cable.</remarks>
public sealed class TcpStream : IByteStream
{
    private readonly PeerSocket _peer;
    private readonly OutputQueue _output;
    private readonly InputPump _pump = new();
    private readonly TaskCompletionSource _firstPeer = new();
    private readonly bool _waitsForPeer;

    private TcpStream(INetworkPeers peers, int port, bool waitsForPeer)
    {
        _peer = new PeerSocket(peers);
        Port = port;
        _waitsForPeer = waitsForPeer;
        _output = new OutputQueue("serial-tcp", Send);
    }

    /// <inheritdoc/>
    public Func<ReadOnlyMemory<byte>, int>? OnInput { get; set; }

    /// <summary>Port that the peer reaches this end at, or that this end calls.</summary>
    public int Port { get; }

    /// <summary>Calls <paramref name="host"/>, again and again until somebody answers.</summary>
    public static TcpStream Call(string host, int port) => new(new CalledPeer(host, port), port, waitsForPeer: false);

    /// <summary>Listens for a peer.</summary>
    /// <param name="host">Local name or address.</param>
    /// <param name="port">Port; 0 lets the host choose.</param>
    /// <param name="waitsForPeer">Whether <see cref="Start"/> returns only once a peer is there.</param>
    /// <exception cref="HostException">The address or the port cannot be used.</exception>
    public static TcpStream Listen(string host, int port, bool waitsForPeer)
    {
        var peers = new ListeningPeers(host, port, "serial tcp:");
        return new TcpStream(peers, peers.Port, waitsForPeer);
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
        _firstPeer.TrySetResult();
        _pump.Stop();
        _peer.Dispose();
    }

    private void Run()
    {
        byte[] bytes = new byte[1024];
        while (_peer.TryConnect())
        {
            _firstPeer.TrySetResult();
            int length;
            while ((length = _peer.Receive(bytes)) > 0)
            {
                _pump.Deliver(OnInput, bytes.AsMemory(0, length));
            }

            _peer.Disconnect();
        }
    }

    private bool Send(ReadOnlySpan<byte> bytes)
    {
        _peer.Send(bytes);
        return true;
    }
}
