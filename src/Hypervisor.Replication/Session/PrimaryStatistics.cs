using System.Collections.Generic;
using Hypervisor.Core.Memory;
using Hypervisor.Replication.Epochs;

namespace Hypervisor.Replication.Session;

/// <summary>A primary's numbers for the status line.</summary>
/// <param name="Status">Epochs, lag, bytes sent, state.</param>
/// <param name="Pause">Whole pauses of cuts.</param>
/// <param name="StopPart">Until the machine stood still.</param>
/// <param name="CapturePart">Harvest of dirty pages, sections, new outbox and tag.</param>
/// <param name="RearmPart">Write tags of the vCPUs.</param>
/// <param name="ResumePart">Until the machine ran again.</param>
/// <param name="Epochs">Cuts so far.</param>
/// <param name="LastDirtyPages">Dirty pages of the last cut.</param>
/// <param name="DirtyPages">Dirty pages of all cuts.</param>
/// <param name="DeltaLines">Changed 64-byte lines of all cuts.</param>
/// <param name="DeltaBytes">RAM of all cuts as it was encoded, before compression.</param>
public readonly record struct PrimaryStatistics(
    PrimaryStatus Status,
    PauseSummary Pause,
    PauseSummary StopPart,
    PauseSummary CapturePart,
    PauseSummary RearmPart,
    PauseSummary ResumePart,
    long Epochs,
    long LastDirtyPages,
    long DirtyPages,
    long DeltaLines,
    long DeltaBytes)
{
    /// <summary>
    /// The phases of an epoch in their order: stop, capture, arm, resume (the pause), copy, send, stage, journal, ack,
    /// release, apply. Not null once a session gave it out.
    /// </summary>
    public IReadOnlyList<PhaseSummary> Phases { get; init; } = [];

    /// <summary>Payload bytes of all epochs, disks and device state included, before compression.</summary>
    public long EpochPlainBytes { get; init; }

    /// <summary>All that was sent for these epochs: compressed, with the frames' headers.</summary>
    public long EpochSentBytes { get; init; }

    /// <summary>Bytes of dirty pages for each byte that was sent; 0 before the first.</summary>
    public double DirtyBytesPerSentByte
        => EpochSentBytes == 0 ? 0 : DirtyPages * (double)PageKernels.PageBytes / EpochSentBytes;

    /// <summary>How many cuts each reason led to, in the order of the reasons.</summary>
    public IReadOnlyList<CutReasonCount> CutReasons { get; init; } = [];

    /// <summary>Why the last cut was made when it was.</summary>
    public CutReason LastCut { get; init; }
}
