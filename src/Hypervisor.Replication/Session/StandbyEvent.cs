using Hypervisor.Replication.Failover;
using Hypervisor.Replication.Standby;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Session;

/// <summary>Something for the standby's session thread.</summary>
/// <param name="Kind">What happened.</param>
/// <param name="Source">The link or stream that it comes from.</param>
/// <param name="Message">The message that goes with it.</param>
/// <param name="Epoch">The epoch that goes with it.</param>
/// <param name="Text">The error that goes with it; null for success.</param>
/// <param name="Loss">How a link ended.</param>
/// <param name="Answer">The witness's word.</param>
/// <param name="Range">What was compared.</param>
/// <param name="IsSame">What the comparison found.</param>
internal readonly record struct StandbyEvent(
    StandbyEventKind Kind,
    object? Source = null,
    Message? Message = null,
    ulong Epoch = 0,
    string? Text = null,
    LinkLoss Loss = LinkLoss.Broken,
    WitnessAnswer Answer = default,
    DiskRange Range = default,
    bool IsSame = false);

/// <summary>Kinds of <see cref="StandbyEvent"/>.</summary>
internal enum StandbyEventKind : byte
{
    /// <summary>Somebody connected; the source is the stream.</summary>
    Connected,

    /// <summary>Somebody else than the peer; the text says who and why.</summary>
    Refused,

    /// <summary>A frame from a link.</summary>
    Received,

    /// <summary>A link is gone.</summary>
    LinkLost,

    /// <summary>The worker is ready for the full copy.</summary>
    FullCopyReady,

    /// <summary>A range of a disk is compared.</summary>
    Compared,

    /// <summary>The copy is compared and durable.</summary>
    FullCopyFinished,

    /// <summary>The journal has an epoch.</summary>
    EpochCommitted,

    /// <summary>RAM and disks have an epoch.</summary>
    EpochApplied,

    /// <summary>The disks are flushed.</summary>
    DisksFlushed,

    /// <summary>The mark of the promotion is durable.</summary>
    GenerationWritten,

    /// <summary>The worker failed outside of the answers above.</summary>
    Failure,

    /// <summary>The witness answered.</summary>
    Witness,

    /// <summary>The guest runs here.</summary>
    WentLive,

    /// <summary>An operator asks for a takeover.</summary>
    TakeOver,

    /// <summary>A copy of the guest is wanted; the source says where to.</summary>
    CopyGuest,

    /// <summary>The worker is through with it.</summary>
    GuestCopied,

    /// <summary>The session is disposed.</summary>
    Quit,
}
