using System.Net;
using System.Net.Sockets;

namespace Hypervisor.Core.Host;

/// <summary>Addresses as typed.</summary>
public static class HostAddress
{
    /// <summary>The address that a text is, or the first one that it is a name of.</summary>
    /// <remarks>An address is never looked up: the resolver throws at 0.0.0.0 and ::, which mean all of them.</remarks>
    /// <exception cref="SocketException">Nobody knows that name.</exception>
    public static IPAddress Resolve(string host)
        => IPAddress.TryParse(host, out IPAddress? address) ? address : Dns.GetHostAddresses(host)[0];
}
