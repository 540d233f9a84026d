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
            var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            try
            {
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

            socket.Dispose();
        }

        return null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // Nothing is kept between two calls.
    }
}
