using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Simulation;

/// <summary>One end of a connection, as its node sees it.</summary>
internal interface ILinkEnd
{
    void OnFrame(SimLink link, Message message);

    void OnLost(SimLink link, LinkLoss loss, string reason);
}
