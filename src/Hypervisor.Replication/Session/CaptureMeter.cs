using System.Threading;
using Hypervisor.Replication.Epochs;
using Hypervisor.Replication.Link;

namespace Hypervisor.Replication.Session;

/// <summary>Counts what the capture thread does. Written by it, read by anybody.</summary>
internal sealed class CaptureMeter
{
    private readonly PauseTimes _pause = new(), _stop = new(), _capture = new(), _rearm = new(), _resume = new();
    private readonly RecentPauses _recent = new();
    private long _epochs, _lastDirty, _dirty, _lines, _bytes; // each written by one thread, read with Volatile

    /// <summary>The phases after the pause.</summary>
    public EpochMeter Epochs { get; } = new();

    /// <summary>What the links took.</summary>
    public LinkTally Link { get; } = new();

    /// <summary>One cut, by the times between its steps.</summary>
    public void AddPause(long startNanos, long stoppedNanos, long capturedNanos, long rearmedNanos, long endNanos)
    {
        _pause.Add(endNanos - startNanos);
        _recent.Add(endNanos, endNanos - startNanos);
        _stop.Add(stoppedNanos - startNanos);
        _capture.Add(capturedNanos - stoppedNanos);
        _rearm.Add(rearmedNanos - capturedNanos);
        _resume.Add(endNanos - rearmedNanos);
    }

    /// <summary>What a cut consisted of.</summary>
    public void AddEpoch(long dirtyPages, long lines, long bytes)
    {
        Volatile.Write(ref _lastDirty, dirtyPages);
        Volatile.Write(ref _dirty, _dirty + dirtyPages);
        Volatile.Write(ref _lines, _lines + lines);
        Volatile.Write(ref _bytes, _bytes + bytes);
        Volatile.Write(ref _epochs, _epochs + 1);
    }

    /// <summary>The longest pause of each of the last 60 seconds, in nanoseconds, oldest first.</summary>
    public long[] RecentPauses(long nowNanos) => _recent.Snapshot(nowNanos);

    /// <summary>How many pauses of each length: entry n of 2^n nanoseconds and more.</summary>
    public long[] PauseCounts() => _pause.CountByLog2();

    /// <summary>Everything so far.</summary>
    public PrimaryStatistics Snapshot(in PrimaryStatus status) => new(
        status,
        _pause.Summarize(),
        _stop.Summarize(),
        _capture.Summarize(),
        _rearm.Summarize(),
        _resume.Summarize(),
        Volatile.Read(ref _epochs),
        Volatile.Read(ref _lastDirty),
        Volatile.Read(ref _dirty),
        Volatile.Read(ref _lines),
        Volatile.Read(ref _bytes))
    {
        Phases =
        [
            new("stop", _stop.Summarize()),
            new("capture", _capture.Summarize()),
            new("arm", _rearm.Summarize()),
            new("resume", _resume.Summarize()),
            .. Epochs.Summarize(),
        ],
        EpochPlainBytes = Link.EpochPlainBytes,
        EpochSentBytes = Link.EpochSentBytes,
    };
}
