namespace Hypervisor.Replication.Failover;

/// <summary>The witness's word.</summary>
/// <param name="Id">Of the request.</param>
/// <param name="Outcome">How it ended.</param>
/// <param name="Current">The record after the request, null when there is none or the witness was not reached.</param>
internal readonly record struct WitnessAnswer(ulong Id, WitnessOutcome Outcome, WitnessRecord? Current);
