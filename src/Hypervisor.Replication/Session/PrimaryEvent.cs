using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Session;

/// <summary>Something for the primary's session thread.</summary>
/// <param name="Kind">What happened.</param>
/// <param name="Message">The message that goes with it.</param>
/// <param name="Source">Link or capture run that it comes from; what an older one still posts is dropped.</param>
/// <param name="Epoch">The epoch that goes with it.</param>
/// <param name="Text">The reason that goes with it.</param>
/// <param name="RamDigest">Digest of RAM at the cut of a finished capture.</param>
/// <param name="Answer">The witness's word.</param>
/// <param name="Cost">What a finished capture cost.</param>
internal readonly record struct PrimaryEvent(
    PrimaryEventKind Kind,
    Message? Message = null,
    object? Source = null,
    ulong Epoch = 0,
    string? Text = null,
    ulong RamDigest = 0,
    WitnessAnswer Answer = default,
    EpochCost Cost = default);

/// <summary>Kinds of <see cref="PrimaryEvent"/>.</summary>
internal enum PrimaryEventKind : byte
{
    /// <summary>A standby is connected; the source is the stream.</summary>
    Connected,

    /// <summary>Somebody else than the peer; the text says who and why.</summary>
    Refused,

    /// <summary>A frame from the standby.</summary>
    Received,

    /// <summary>No vCPU has anything to do since output of the epoch was held.</summary>
    GuestIdle,

    /// <summary>The link is gone.</summary>
    LinkLost,

    /// <summary>The guest changed a disk.</summary>
    DiskWrite,

    /// <summary>A piece of the full copy.</summary>
    Copied,

    /// <summary>The full copy is ready for cut 0.</summary>
    CopyConverged,

    /// <summary>The machine was cut.</summary>
    CutTaken,

    /// <summary>A piece of a cut.</summary>
    Captured,

    /// <summary>Everything of a cut was posted.</summary>
    CaptureDone,

    /// <summary>An outbox holds something.</summary>
    OutputHeld,

    /// <summary>An epoch is durable on the shared disks.</summary>
    Settled,

    /// <summary>Capture, tagging or the outbox failed.</summary>
    Failure,

    /// <summary>The witness answered.</summary>
    Witness,

    /// <summary>Everything is to be compared; the epoch is the rate, in bytes per second.</summary>
    Scrub,

    /// <summary>A range to compare.</summary>
    ScrubRead,

    /// <summary>All ranges to compare were posted.</summary>
    ScrubSent,

    /// <summary>The guest ended on purpose.</summary>
    PlanEnd,

    /// <summary>The standby is to run the guest.</summary>
    SwitchOver,

    /// <summary>The session is disposed.</summary>
    Quit,
}
