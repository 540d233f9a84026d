using System;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Link;

namespace Hypervisor.CommandLine;

/// <summary>Everything that a user can say about a pair; the same words on both halves.</summary>
internal sealed record ProtectionConfig
{
    /// <summary>Time between two checkpoints.</summary>
    public TimeSpan Epoch { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>Time between two checkpoints while output waits for one; never longer than the other.</summary>
    public TimeSpan MaxOutputLatency { get; init; } = TimeSpan.FromMilliseconds(5);

    /// <summary>The record that decides who may run; both halves must reach it.</summary>
    public required WitnessText Witness { get; init; }

    /// <summary>How the halves make sure of each other.</summary>
    public LinkSecurity Link { get; init; } = LinkSecurity.Plain;

    /// <summary>
    /// Whether an epoch with a flush is acknowledged only once it is durable (fault-tolerance rule 19).
    /// </summary>
    public bool IsAckDurable { get; init; } = true;

    /// <summary>What the primary does without a standby.</summary>
    public StandbyLossPolicy OnStandbyLoss { get; init; } = StandbyLossPolicy.Alone;

    /// <summary>What a side does that must ask the witness and does not reach it (rule 27).</summary>
    public WitnessPolicy OnWitnessLoss { get; init; } = WitnessPolicy.Wait;

    /// <summary>How long the primary releases output after the last acknowledgement (rule 26).</summary>
    public TimeSpan Lease { get; init; } = TimeSpan.FromMilliseconds(600);

    /// <summary>How long the standby hears nothing before it asks the witness; longer than the lease.</summary>
    public TimeSpan TakeoverTimeout { get; init; } = TimeSpan.FromSeconds(1);
}
