using Hypervisor.Replication.Standby;

namespace Hypervisor.Replication.Session;

/// <summary>A standby's numbers for the status line.</summary>
/// <param name="Status">Epochs, bytes, state.</param>
/// <param name="TakeoverNanos">From the moment the loss was noticed to the guest running here; 0 before.</param>
public readonly record struct StandbyStatistics(StandbyStatus Status, long TakeoverNanos);
