using System;

namespace Hypervisor.Sessions;

/// <summary>
/// What happened to a pair so far, and what is to be done next. No process, no clock, no thread in it.
/// </summary>
internal sealed class PairDrill(TimeSpan? killPrimaryAfter, TimeSpan? stopAfterTakeover)
{
    /// <summary>
    /// How long after the kill the standby may take to run the guest, before the drill counts as failed.
    /// </summary>
    public static readonly TimeSpan TakeoverPatience = TimeSpan.FromSeconds(30);

    private long _protectedNanos = -1;
    private bool _isEnding;

    /// <summary>Last epoch that the primary reported as acknowledged.</summary>
    public long AcknowledgedEpoch { get; private set; }

    /// <summary>The epoch that the standby carried on from; -1 before a takeover.</summary>
    public long TakeoverEpoch { get; private set; } = -1;

    /// <summary>When the primary was killed; -1 before.</summary>
    public long KilledNanos { get; private set; } = -1;

    /// <summary>When the standby executed its first guest instruction; -1 before.</summary>
    public long FirstInstructionNanos { get; private set; } = -1;

    /// <summary>Whether the guest is protected now.</summary>
    public bool IsProtected => _protectedNanos >= 0 && KilledNanos < 0;

    /// <summary>What a half of the pair reported.</summary>
    public void OnStatus(bool isStandby, StatusEvent status)
    {
        switch (status.Kind)
        {
            case StatusKind.Epoch when !isStandby:
                _protectedNanos = _protectedNanos < 0 ? status.AtNanos : _protectedNanos;
                AcknowledgedEpoch = Math.Max(AcknowledgedEpoch, status.Epoch);
                break;
            case StatusKind.Takeover when isStandby:
                TakeoverEpoch = status.Epoch;
                break;
            case StatusKind.Running when isStandby:
                FirstInstructionNanos = FirstInstructionNanos < 0 ? status.AtNanos : FirstInstructionNanos;
                break;
        }
    }

    /// <summary>The primary was killed at <paramref name="nowNanos"/>.</summary>
    public void OnKilled(long nowNanos) => KilledNanos = nowNanos;

    /// <summary>What is due at <paramref name="nowNanos"/>.</summary>
    /// <param name="nowNanos">Monotonic time of the host.</param>
    /// <param name="hasPrimaryEnded">Whether the primary's process is over.</param>
    /// <param name="hasStandbyEnded">Whether the standby's process is over.</param>
    public PairAction Next(long nowNanos, bool hasPrimaryEnded, bool hasStandbyEnded)
    {
        if (hasStandbyEnded && (hasPrimaryEnded || KilledNanos >= 0))
        {
            return PairAction.Finish;
        }

        if (!_isEnding && hasPrimaryEnded && KilledNanos < 0 && _protectedNanos < 0)
        {
            _isEnding = true; // it never came to a pair: nobody would ever call the standby
            return PairAction.EndStandby;
        }

        if (KilledNanos < 0 && IsOver(killPrimaryAfter, _protectedNanos, nowNanos) && !hasPrimaryEnded)
        {
            return PairAction.KillPrimary;
        }

        if (KilledNanos >= 0 && FirstInstructionNanos < 0 && IsOver(TakeoverPatience, KilledNanos, nowNanos))
        {
            return PairAction.GiveUp;
        }

        if (!_isEnding && IsOver(stopAfterTakeover, FirstInstructionNanos, nowNanos))
        {
            _isEnding = true;
            return PairAction.EndStandby;
        }

        return PairAction.Wait;
    }

    private static bool IsOver(TimeSpan? duration, long sinceNanos, long nowNanos)
        => duration is { } limit && sinceNanos >= 0
            && nowNanos - sinceNanos >= limit.Ticks * TimeSpan.NanosecondsPerTick;
}
