using System;
using Hypervisor.Core.Time;
using Hypervisor.Replication.Session;

namespace Hypervisor.Sessions;

/// <summary>Turns what a replication session tells into status events. Called on the session's threads.</summary>
internal sealed class ReportedEvents(StatusReport report, IHostClock clock, bool isStandby) : ISessionEvents
{
    private const int FirstConsole = 0; // the stream that `hv pair` joins

    private long _repeatedFrom = -1;

    /// <summary>Epoch that a takeover carries on from; set by the session's owner, who sees its statistics.</summary>
    public Func<long> TakeoverEpoch { get; init; } = () => -1;

    /// <inheritdoc/>
    public void OnState(string line) => Send(StatusKind.State, line);

    /// <inheritdoc/>
    public void OnCopyProgress(long doneBytes, long totalBytes) => report.Send(
        new StatusEvent(StatusKind.Copying, clock.NowNanos) { DoneBytes = doneBytes, TotalBytes = totalBytes });

    /// <inheritdoc/>
    public void OnOutputRepeated(int stream, long offsetBytes, int lengthBytes)
    {
        if (stream == FirstConsole && _repeatedFrom < 0)
        {
            _repeatedFrom = offsetBytes;
        }
    }

    /// <inheritdoc/>
    public void OnGuestRunning(ulong generation)
    {
        long nowNanos = clock.NowNanos; // of the first instruction: before anything is written
        if (isStandby)
        {
            report.Send(new StatusEvent(StatusKind.Takeover, nowNanos)
            {
                Epoch = TakeoverEpoch(),
                ConsoleBytes = _repeatedFrom,
                Message = $"generation {generation}",
            });
        }

        report.Send(new StatusEvent(StatusKind.Running, nowNanos) { Message = $"generation {generation}" });
    }

    /// <inheritdoc/>
    public void OnEnded(bool isPlanned, string reason)
        => Send(StatusKind.Ended, isPlanned ? reason : $"{reason} (not planned; the guest does not go on here)");

    private void Send(StatusKind kind, string message)
        => report.Send(new StatusEvent(kind, clock.NowNanos) { Message = message });
}
