using System.Net.Sockets;
using System.Threading.Tasks;
using Hypervisor.Core.Host;

namespace Hypervisor.Backends.Network;

/// <summary>A connected stream socket that this process was started with.</summary>
public sealed class GivenPeer : INetworkPeers
{
    private Socket? _peer;

    /// <summary>Takes it over.</summary>
    /// <param name="descriptor">Its file descriptor.</param>
    /// <exception cref="HostException">The descriptor is no socket.</exception>
    public GivenPeer(int descriptor)
    {
        try
        {
            _peer = new Socket(new SafeSocketHandle(descriptor, ownsHandle: true));
        }
        catch (SocketException error)
        {
            throw new HostException($"network socket fd={descriptor}: {error.Message}");
        }
    }

    /// <inheritdoc/>
    public Socket? Wait(Task ending)
    {
        (Socket? peer, _peer) = (_peer, null);
        return peer;
    }

    /// <inheritdoc/>
    public void Dispose() => _peer?.Dispose();
}
