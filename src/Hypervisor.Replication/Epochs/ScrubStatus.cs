namespace Hypervisor.Replication.Epochs;

/// <summary>The last scrub of a primary, for people.</summary>
/// <param name="State">How far it is.</param>
/// <param name="SentBytes">Bytes of RAM and disks that were handed over to be compared.</param>
/// <param name="Number">Which one it is, from 1; 0 before the first.</param>
/// <param name="Reason">Why it ended; empty otherwise.</param>
public readonly record struct ScrubStatus(ScrubState State, long SentBytes, int Number, string Reason);
