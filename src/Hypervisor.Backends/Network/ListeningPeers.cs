using System;
using System.Net;
using System.Net.Sockets;
using System.Threading.Tasks;
using Hypervisor.Core.Host;

namespace Hypervisor.Backends.Network;

/// <summary>Peers that call.</summary>
public sealed class ListeningPeers : INetworkPeers
{
    private const int AcceptAgainMillis = 100;

    private readonly Socket _listener;

    /// <summary>Listens; port 0 lets the host choose.</summary>
    /// <param name="host">Local name or address.</param>
    /// <param name="port">Port.</param>
    /// <param name="role">What the message of the exception has before the address.</param>
    /// <exception cref="HostException">The address or the port cannot be used.</exception>
    public ListeningPeers(string host, int port, string role = "network socket ")
    {
        Socket? listener = null;
        try
        {
            IPAddress address = HostAddress.Resolve(host);
            listener = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            listener.Bind(new IPEndPoint(address, port));
            listener.Listen(1);
            _listener = listener;
        }
        catch (SocketException error)
        {
            listener?.Dispose();
            throw new HostException($"{role}{host}:{port}: cannot listen: {error.Message}");
        }
    }

    /// <summary>Port that it listens at.</summary>
    public int Port => ((IPEndPoint)_listener.LocalEndPoint!).Port;

    /// <inheritdoc/>
    public Socket? Wait(Task ending)
    {
        while (!ending.IsCompleted)
        {
            Socket? peer = null;
            try
            {
                peer = _listener.Accept();
                PeerSocket.SetUpTcp(peer);
                return peer;
            }
            catch (SocketException)
            {
                peer?.Dispose();
                ending.Wait(AcceptAgainMillis); // it left again, or there is no descriptor for it now
            }
            catch (ObjectDisposedException)
            {
                return null;
            }
        }

        return null;
    }

    /// <inheritdoc/>
    public void Dispose() => _listener.Dispose();
}
