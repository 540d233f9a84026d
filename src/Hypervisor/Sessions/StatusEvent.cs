namespace Hypervisor.Sessions;

/// <summary>One status line of a running machine. Fields that do not belong to its kind are zero.</summary>
/// <param name="Kind">What it tells.</param>
/// <param name="AtNanos">Monotonic time of the host, the same clock in every process of it.</param>
internal sealed record StatusEvent(StatusKind Kind, long AtNanos)
{
    /// <summary>Last acknowledged (primary) or committed (standby) epoch.</summary>
    public long Epoch { get; init; }

    /// <summary>How long the guest stood still for the cut.</summary>
    public long PauseMicros { get; init; }

    /// <summary>Pages that the guest changed in the epoch.</summary>
    public long DirtyPages { get; init; }

    /// <summary>Bytes sent to the standby since the start.</summary>
    public long BytesSent { get; init; }

    /// <summary>From the cut to the acknowledgement.</summary>
    public long LagMicros { get; init; }

    /// <summary>Bytes of the full copy that are over.</summary>
    public long DoneBytes { get; init; }

    /// <summary>Bytes of the full copy.</summary>
    public long TotalBytes { get; init; }

    /// <summary>TCP port.</summary>
    public int Port { get; init; }

    /// <summary>
    /// At a takeover: where in all the bytes that the guest ever printed this side's output begins. The outside drops
    /// what it has seen already, so the console has neither holes nor duplicates (fault-tolerance rule 5).
    /// </summary>
    public long ConsoleBytes { get; init; }

    /// <summary>State of the pair, or the reason for what happened; one line.</summary>
    public string Message { get; init; } = "";
}
