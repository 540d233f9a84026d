namespace Hypervisor.Replication.Standby;

/// <summary>How a link ended, as far as the rim can tell.</summary>
public enum LinkLoss
{
    /// <summary>Nobody knows what the peer does: wait for the whole takeover timeout.</summary>
    Broken,

    /// <summary>
    /// The peer's process died or closed the link (end of stream, or its kernel reset it). A primary closes a link
    /// only after
    /// it stopped releasing output, so its lease need not be waited for.
    /// </summary>
    ClosedByPeer,
}
