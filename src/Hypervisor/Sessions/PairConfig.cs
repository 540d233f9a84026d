using System;
using System.Collections.Generic;
using Hypervisor.Backends.Block;
using Hypervisor.Backends.Network;
using Hypervisor.CommandLine;
using Hypervisor.Machine;

namespace Hypervisor.Sessions;

/// <summary>What `hv pair` runs.</summary>
/// <param name="Machine">The machine, with the primary's drives.</param>
/// <param name="Protection">How it is protected.</param>
internal sealed record PairConfig(MachineConfig Machine, ProtectionConfig Protection)
{
    /// <summary>The standby's drives, in the order of the primary's.</summary>
    public required IReadOnlyList<DriveOptions> StandbyDrives { get; init; }

    /// <summary>What the standby's NICs are plugged into, in the order of the primary's.</summary>
    public IReadOnlyList<NetworkOptions> StandbyNetworks { get; init; } = [];

    /// <summary>How long after protection began the primary is killed; null: never.</summary>
    public TimeSpan? KillPrimaryAfter { get; init; }

    /// <summary>
    /// How long the guest runs on after the takeover before the pair is ended; null: until it ends itself.
    /// </summary>
    public TimeSpan? StopAfterTakeover { get; init; }

    /// <summary>
    /// Whether the guest prints numbered steps, which are then checked and shown instead of its console.
    /// </summary>
    public bool HasSteps { get; init; }

    /// <summary>
    /// Folder of what belongs to this run alone; removed at the end of a good one. Null when there is none.
    /// </summary>
    public string? ScratchFolder { get; init; }
}
