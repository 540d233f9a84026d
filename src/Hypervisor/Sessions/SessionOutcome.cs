using System.Threading;
using System.Threading.Tasks;
using Hypervisor.Replication.Session;

namespace Hypervisor.Sessions;

/// <summary>
/// Passes a replication session's events on, and remembers how it ended and whether the guest runs here.
/// </summary>
internal sealed class SessionOutcome(ReportedEvents reported) : ISessionEvents
{
    private readonly TaskCompletionSource<(bool IsPlanned, string Reason)> _end =
        new(TaskCreationOptions.RunContinuationsAsynchronously);

    private readonly TaskCompletionSource<ulong> _running = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private readonly Lock _lock = new(); // protects the field below
    private (long DoneBytes, long TotalBytes) _copy;

    /// <summary>How far the last full copy is.</summary>
    public (long DoneBytes, long TotalBytes) Copy
    {
        get
        {
            lock (_lock)
            {
                return _copy;
            }
        }
    }

    /// <summary>Completes when the session is over.</summary>
    public Task<(bool IsPlanned, string Reason)> End => _end.Task;

    /// <summary>Completes with the generation when the guest runs here.</summary>
    public Task<ulong> Running => _running.Task;

    /// <inheritdoc/>
    public void OnState(string line) => reported.OnState(line);

    /// <inheritdoc/>
    public void OnCopyProgress(long doneBytes, long totalBytes)
    {
        lock (_lock)
        {
            _copy = (doneBytes, totalBytes);
        }

        reported.OnCopyProgress(doneBytes, totalBytes);
    }

    /// <inheritdoc/>
    public void OnOutputRepeated(int stream, long offsetBytes, int lengthBytes)
        => reported.OnOutputRepeated(stream, offsetBytes, lengthBytes);

    /// <inheritdoc/>
    public void OnGuestRunning(ulong generation)
    {
        reported.OnGuestRunning(generation);
        _running.TrySetResult(generation);
    }

    /// <inheritdoc/>
    public void OnEnded(bool isPlanned, string reason)
    {
        reported.OnEnded(isPlanned, reason);
        _end.TrySetResult((isPlanned, reason));
    }
}
