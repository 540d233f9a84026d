using System;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Link;
using Hypervisor.Replication.Wire;

namespace Hypervisor.CommandLine;

/// <summary>Everything that a user can say about a pair; the same words on both halves.</summary>
internal sealed record ProtectionConfig
{
    /// <summary>Whether a pacer chooses the time between two checkpoints, within 1 to 200 ms.</summary>
    public bool IsEpochAuto { get; init; }

    /// <summary>Longest pause that a paced pair is meant to have; longer ones come less often.</summary>
    public TimeSpan MaxPause { get; init; } = TimeSpan.FromMilliseconds(5);

    /// <summary>Most bytes that a paced epoch is meant to send; 0: a quarter of what the standby can hold.</summary>
    public long MaxStagingBytes { get; init; }

    /// <summary>Time between two checkpoints; the usual one with a pacer.</summary>
    public TimeSpan Epoch { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>
    /// Time between two checkpoints while output waits for one, never longer than the other. With a pacer: from the
    /// first byte that waits to the checkpoint.
    /// </summary>
    public TimeSpan MaxOutputLatency { get; init; } = TimeSpan.FromMilliseconds(5);

    /// <summary>The record that decides who may run; both halves must reach it.</summary>
    public required WitnessText Witness { get; init; }

    /// <summary>How the halves make sure of each other.</summary>
    public LinkSecurity Link { get; init; } = LinkSecurity.Plain;

    /// <summary>
    /// Whether an epoch with a flush is acknowledged only once it is durable (fault-tolerance rule 19).
    /// </summary>
    public bool IsAckDurable { get; init; } = true;

    /// <summary>How a primary may compress what it sends.</summary>
    public CompressionTerms Compression { get; init; } = CompressionTerms.Off;

    /// <summary>What the primary does without a standby.</summary>
    public StandbyLossPolicy OnStandbyLoss { get; init; } = StandbyLossPolicy.Alone;

    /// <summary>What a side does that must ask the witness and does not reach it (rule 27).</summary>
    public WitnessPolicy OnWitnessLoss { get; init; } = WitnessPolicy.Wait;

    /// <summary>How long the primary releases output after the last acknowledgement (rule 26).</summary>
    public TimeSpan Lease { get; init; } = TimeSpan.FromMilliseconds(600);

    /// <summary>How long the standby hears nothing before it asks the witness; longer than the lease.</summary>
    public TimeSpan TakeoverTimeout { get; init; } = TimeSpan.FromSeconds(1);
}
