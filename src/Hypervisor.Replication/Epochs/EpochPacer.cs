using System;

namespace Hypervisor.Replication.Epochs;

/// <summary>Chooses how long the open epoch becomes, from what the last ones cost. Pure: time comes in.</summary>
/// <remarks>
/// In this order, each step over the one before it, and all of it within the shortest and the longest epoch:
/// <code>
/// Grid           the usual length
/// Idle           twice the length before, while epochs change few pages and hold no output
/// CopyBudget     twice the last copy: the guest pays for stores to pages that are not copied yet
/// PauseBudget    all lengths, times p99 of the recent pauses / budget, when that is above 1
/// StagingBudget  at most what stages 3/4 of the budget at the highest byte rate of the last epochs
/// OutputWaiting  the latency after the first held byte, stretched by the pauses like any other length
/// </code>
/// <b>What the pause budget holds.</b> No choice of length makes a single pause short: stopping, saving devices and
/// resuming cost the same after any epoch. What a length decides is how much of its time the guest stands still. So
/// pauses that are twice over the budget come half as often, and the guest stands still for the same share as with
/// pauses in budget, up to the longest epoch. A single pause may exceed it.
/// <para>
/// <b>What the staging budget holds.</b> What a guest will store is not known before. The rate of the last epochs says
/// it with a quarter to spare; disk writes are seen as they come, and cut the epoch when they reach the budget. A burst
/// of stores may exceed it once; the standby's room is kept by the core, which then holds the guest.
/// </para>
/// </remarks>
internal sealed class EpochPacer(PaceOptions options, long usualNanos)
{
    private const int PausesKept = 128; // their second longest is the 99th percentile
    private const int PausesNeeded = 16; // before that one slow start would count as every pause
    private const int RatesKept = 4;
    private const int IdlePages = 64;

    private readonly long[] _pauses = new long[PausesKept];
    private readonly double[] _rates = new double[RatesKept]; // bytes per nanosecond
    private long _stagingBytesMax = long.MaxValue;
    private int _pauseCount;
    private int _rateCount;
    private long _startNanos;  // of the open epoch
    private long _lengthNanos; // of the epoch before it
    private bool _hadOutput;   // that one
    private long _targetNanos; // of the open epoch, with its reason
    private CutReason _targetReason;
    private long _idleNanos; // how long an idle epoch may be
    private double _stretch = 1; // by the pauses

    /// <summary>A life of the pair begins; what pauses cost is still known.</summary>
    /// <param name="roomBytes">What the standby can hold.</param>
    /// <param name="nowNanos">Monotonic time.</param>
    public void Restart(long roomBytes, long nowNanos)
    {
        long quarter = Math.Max(1, roomBytes / 4); // above it the core holds the guest
        _stagingBytesMax = options.MaxStagingBytes == 0 ? quarter : Math.Min(quarter, options.MaxStagingBytes);
        _rateCount = 0;
        _startNanos = nowNanos;
        _idleNanos = usualNanos;
        (_targetNanos, _targetReason) = (Clamp(usualNanos), CutReason.Grid);
    }

    /// <summary>The open epoch was cut.</summary>
    /// <param name="hadOutput">Whether it held output.</param>
    /// <param name="nowNanos">Monotonic time.</param>
    public void OnCut(bool hadOutput, long nowNanos)
    {
        _lengthNanos = Math.Max(1, nowNanos - _startNanos);
        _hadOutput = hadOutput;
        _startNanos = nowNanos;
    }

    /// <summary>Everything of the epoch that was cut last is on its way: chooses the length of the open one.</summary>
    public void OnCaptured(long stagedBytes, in EpochCost cost)
    {
        _rates[_rateCount++ % RatesKept] = stagedBytes / (double)_lengthNanos;
        if (cost.PauseNanos > 0)
        {
            _pauses[_pauseCount++ % PausesKept] = cost.PauseNanos;
            _stretch = Math.Max(1, SlowPauseNanos() / (double)options.MaxPauseNanos);
        }

        bool isIdle = !_hadOutput && cost.DirtyPages <= IdlePages;
        _idleNanos = isIdle ? Clamp(_idleNanos * 2) : usualNanos;
        (_targetNanos, _targetReason) = Choose(cost.CopyNanos);
    }

    /// <summary>When the open epoch is to be cut, and why then.</summary>
    /// <param name="outputNanos">When its first output was held; <see cref="long.MaxValue"/>: it holds none.</param>
    /// <param name="openBytes">What was sent of it already: its disk writes.</param>
    public (long DueNanos, CutReason Reason) Due(long outputNanos, long openBytes)
    {
        long shortest = _startNanos + Clamp(Stretched(options.ShortestNanos));
        (long DueNanos, CutReason Reason) due = (_startNanos + _targetNanos, _targetReason);
        if (openBytes >= _stagingBytesMax)
        {
            due = (Math.Min(due.DueNanos, _startNanos + options.ShortestNanos), CutReason.StagingBudget);
        }

        if (outputNanos == long.MaxValue)
        {
            return due;
        }

        long output = Math.Max(shortest, outputNanos + Stretched(options.MaxOutputLatencyNanos));
        return output < due.DueNanos
            ? (output, _stretch > 1 ? CutReason.PauseBudget : CutReason.OutputWaiting)
            : due;
    }

    private (long Nanos, CutReason Reason) Choose(long copyNanos)
    {
        (long nanos, CutReason reason) = (usualNanos, CutReason.Grid);
        if (_idleNanos > nanos)
        {
            (nanos, reason) = (_idleNanos, CutReason.Idle);
        }

        if (copyNanos > nanos / 2)
        {
            (nanos, reason) = (copyNanos * 2, CutReason.CopyBudget);
        }

        if (Stretched(usualNanos) > nanos)
        {
            (nanos, reason) = (Stretched(usualNanos), CutReason.PauseBudget);
        }

        long stagedNanos = StagedNanos();
        return stagedNanos < nanos ? (Clamp(stagedNanos), CutReason.StagingBudget) : (Clamp(nanos), reason);
    }

    /// <summary>How long an epoch may get that stages at most three quarters of the budget.</summary>
    private long StagedNanos()
    {
        double highest = 0;
        for (int i = 0; i < Math.Min(_rateCount, RatesKept); i++)
        {
            highest = Math.Max(highest, _rates[i]);
        }

        double nanos = highest == 0 ? double.PositiveInfinity : _stagingBytesMax * 0.75 / highest;
        return nanos < options.LongestNanos ? (long)nanos : long.MaxValue;
    }

    /// <summary>The 99th percentile of the recent pauses; 0 while there are too few.</summary>
    private long SlowPauseNanos()
    {
        long longest = 0, second = 0;
        foreach (long pause in _pauses.AsSpan(0, Math.Min(_pauseCount, PausesKept)))
        {
            (longest, second) = pause > longest ? (pause, longest) : (longest, Math.Max(second, pause));
        }

        return _pauseCount >= PausesNeeded ? second : 0;
    }

    private long Stretched(long nanos) => (long)Math.Min(options.LongestNanos, nanos * _stretch);

    private long Clamp(long nanos) => Math.Clamp(nanos, options.ShortestNanos, options.LongestNanos);
}
