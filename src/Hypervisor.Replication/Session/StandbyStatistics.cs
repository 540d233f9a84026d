using System.Collections.Generic;
using Hypervisor.Replication.Standby;

namespace Hypervisor.Replication.Session;

/// <summary>A standby's numbers for the status line.</summary>
/// <param name="Status">Epochs, bytes, state.</param>
/// <param name="TakeoverNanos">From the moment the loss was noticed to the guest running here; 0 before.</param>
public readonly record struct StandbyStatistics(StandbyStatus Status, long TakeoverNanos)
{
    /// <summary>This side's phases of an epoch: stage, journal, apply. Not null once a session gave it out.</summary>
    public IReadOnlyList<PhaseSummary> Phases { get; init; } = [];
}
