using System;

namespace Hypervisor.Replication.Failover;

/// <summary>Why a pair protects less than it could; shown in the status.</summary>
[Flags]
public enum PairTaints
{
    /// <summary>Nothing to say.</summary>
    None = 0,

    /// <summary>Both sides share one machine and die with it (rule 32).</summary>
    SameHost = 1,

    /// <summary>The standby acknowledges flushes from memory: it survives one failure at a time (rule 19).</summary>
    AckFromMemory = 2,

    /// <summary>The link between two hosts is neither encrypted nor authenticated, by an explicit option.</summary>
    Insecure = 4,
}
