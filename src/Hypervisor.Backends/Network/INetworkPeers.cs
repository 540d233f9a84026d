using System;
using System.Net.Sockets;
using System.Threading.Tasks;

namespace Hypervisor.Backends.Network;

/// <summary>Where the peers of a NIC or a serial line that is a stream socket come from.</summary>
public interface INetworkPeers : IDisposable
{
    /// <summary>Waits for the next peer; null once <paramref name="ending"/> is over, or when none will come.</summary>
    Socket? Wait(Task ending);
}
