using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Session;

/// <summary>
/// How long the standby's phases of an epoch take, from what it says of them when it acknowledges. Fed by one thread,
/// read by any.
/// </summary>
/// <remarks>
/// <code>
/// stage    first message of the cut → the journal begins
/// journal  commit of the epoch
/// apply    RAM and disks, after the ACK
/// </code>
/// </remarks>
internal sealed class StandbyMeter
{
    private const long NanosPerMicro = 1000;

    private readonly PauseTimes _stage = new(), _journal = new(), _apply = new();
    private ulong _appliedEpoch;

    /// <summary>First message of the cut until the journal begins.</summary>
    public PhaseSummary Stage => new("stage", _stage.Summarize());

    /// <summary>Commit of the epoch.</summary>
    public PhaseSummary Journal => new("journal", _journal.Summarize());

    /// <summary>RAM and disks, after the ACK.</summary>
    public PhaseSummary Apply => new("apply", _apply.Summarize());

    /// <summary>A new life of the pair: epochs count from 0 again.</summary>
    public void Restart() => _appliedEpoch = 0;

    /// <summary>An epoch is acknowledged: each one once.</summary>
    public void Add(EpochAckMessage ack)
    {
        _stage.Add(ack.Times.StageMicros * NanosPerMicro);
        _journal.Add(ack.Times.JournalMicros * NanosPerMicro);
        if (ack.AppliedEpoch > _appliedEpoch)
        {
            _appliedEpoch = ack.AppliedEpoch;
            _apply.Add(ack.Times.ApplyMicros * NanosPerMicro);
        }
    }
}
