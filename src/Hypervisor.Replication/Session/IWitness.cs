using Hypervisor.Replication.Failover;

namespace Hypervisor.Replication.Session;

/// <summary>
/// Keeps the one record per pair that decides who may run: a file here; a service that spans hosts elsewhere.
/// </summary>
internal interface IWitness
{
    /// <summary>Reads or swaps the record. Blocks, for a bounded time; for a thread of its own.</summary>
    WitnessAnswer Ask(in WitnessRequest request);

    /// <summary>The last failure in words, for people; empty when there was none. For whoever asked.</summary>
    string LastError { get; }
}
