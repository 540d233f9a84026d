using System;
using System.Net;
using System.Net.Sockets;
using System.Threading.Tasks;
using Hypervisor.Core.Host;

namespace Hypervisor.Backends.Network;

/// <summary>Peers that call.</summary>
public sealed class ListeningPeers : INetworkPeers
{
    private readonly TcpListener _listener;

    /// <summary>Listens; port 0 lets the host choose.</summary>
    /// <exception cref="HostException">The address or the port cannot be used.</exception>
    public ListeningPeers(string host, int port)
    {
        try
        {
            _listener = new TcpListener(Dns.GetHostAddresses(host)[0], port);
            _listener.Start(1);
        }
        catch (SocketException error)
        {
            throw new HostException($"network socket {host}:{port}: cannot listen: {error.Message}");
        }
    }

    /// <summary>Port that it listens at.</summary>
    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    /// <inheritdoc/>
    public Socket? Wait(Task ending)
    {
        try
        {
            Socket peer = _listener.AcceptSocket();
            peer.NoDelay = true;
            return peer;
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException or InvalidOperationException)
        {
            return null;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _listener.Dispose();
}
