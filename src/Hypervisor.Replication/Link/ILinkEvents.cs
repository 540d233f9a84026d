using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Link;

/// <summary>What a link tells its session. Called on the link's threads: the session posts it to its own.</summary>
internal interface ILinkEvents
{
    /// <summary>A whole, undamaged frame arrived; the session owns the message.</summary>
    void OnReceived(TcpLink link, Message message);

    /// <summary>The link is of no use any more. Once per link, and last; not after its own Close.</summary>
    void OnLost(TcpLink link, LinkLoss loss, string reason);
}
