using System.Net.Sockets;
using System.Threading.Tasks;

namespace Hypervisor.Backends.Network;

/// <summary>A peer that is called, again and again until it answers.</summary>
public sealed class CalledPeer(string host, int port) : INetworkPeers
{
    private const int CallAgainMillis = 100;

    /// <inheritdoc/>
    public Socket? Wait(Task ending)
    {
        while (!ending.IsCompleted)
        {
            Socket? socket = null;
            try
            {
                socket = new Socket(SocketType.Stream, ProtocolType.Tcp); // fails when there is no descriptor left
                PeerSocket.SetUpTcp(socket);
                Task calling = socket.ConnectAsync(host, port);
                if (Task.WaitAny(calling, ending) == 0)
                {
                    calling.GetAwaiter().GetResult();
                    return socket;
                }
            }
            catch (SocketException)
            {
                ending.Wait(CallAgainMillis);
            }

            socket?.Dispose();
        }

        return null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // Nothing is kept between two calls.
    }
}
