namespace Hypervisor.Replication.Link;

/// <summary>Which end of a connection a side is.</summary>
internal enum LinkRole : byte
{
    /// <summary>It connected: the primary.</summary>
    Caller,

    /// <summary>It was listening: the standby.</summary>
    Called,
}
