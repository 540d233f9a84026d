namespace Hypervisor.Replication.Session;

/// <summary>How long one phase of an epoch took.</summary>
/// <param name="Name">Its name in status and metrics: a lower-case word.</param>
/// <param name="Times">Over all epochs so far.</param>
public readonly record struct PhaseSummary(string Name, PauseSummary Times);
