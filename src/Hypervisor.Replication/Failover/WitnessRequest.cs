namespace Hypervisor.Replication.Failover;

/// <summary>A question to the witness.</summary>
/// <param name="Id">Comes back in the answer; a core counts them up.</param>
/// <param name="Expected">Record that must be there, byte for byte; null when there must be none. Unused for a
/// read.</param>
/// <param name="Desired">Record to store in its place, durably, before the answer; null to read only.</param>
internal readonly record struct WitnessRequest(ulong Id, WitnessRecord? Expected, WitnessRecord? Desired);
