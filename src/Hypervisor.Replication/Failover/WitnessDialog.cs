namespace Hypervisor.Replication.Failover;

/// <summary>
/// One question at a time to a witness that may be slow or away. An answer to an older question is ignored.
/// </summary>
internal sealed class WitnessDialog(long retryNanos, long timeoutNanos)
{
    private WitnessRequest _request;
    private ulong _lastId;
    private long _dueNanos = long.MaxValue;

    /// <summary>Whether an answer is awaited (and not only a retry).</summary>
    public bool IsAsking { get; private set; }

    /// <summary>The record that the last question asked to store.</summary>
    public WitnessRecord? Desired => _request.Desired;

    /// <summary>When to call <see cref="IsDue"/> again.</summary>
    public long DueNanos => _dueNanos;

    /// <summary>A new question, which replaces any older one.</summary>
    public WitnessRequest Ask(WitnessRecord? expected, WitnessRecord? desired, long nowNanos)
    {
        _request = new WitnessRequest(++_lastId, expected, desired);
        _dueNanos = nowNanos + timeoutNanos;
        IsAsking = true;
        return _request;
    }

    /// <summary>The same question again.</summary>
    public WitnessRequest AskAgain(long nowNanos) => Ask(_request.Expected, _request.Desired, nowNanos);

    /// <summary>Whether <paramref name="answer"/> belongs to the open question; then it is closed.</summary>
    public bool TryAccept(in WitnessAnswer answer)
    {
        if (!IsAsking || answer.Id != _request.Id)
        {
            return false;
        }

        Cancel();
        return true;
    }

    /// <summary>Asks again after a while.</summary>
    public void RetryLater(long nowNanos) => _dueNanos = nowNanos + retryNanos;

    /// <summary>No question is open any more.</summary>
    public void Cancel()
    {
        IsAsking = false;
        _dueNanos = long.MaxValue;
    }

    /// <summary>Whether the answer is overdue (then <see cref="IsAsking"/>), or it is time to ask again.</summary>
    public bool IsDue(long nowNanos) => nowNanos >= _dueNanos;

    /// <summary>
    /// Whether a swap is known to have happened: done now, or by an earlier attempt whose answer was lost. Records
    /// never
    /// repeat, because their revision grows.
    /// </summary>
    public bool HasWon(in WitnessAnswer answer)
        => _request.Desired is not null && answer.Outcome switch
        {
            WitnessOutcome.Done => true,
            WitnessOutcome.Conflict => _request.Desired.Equals(answer.Current),
            WitnessOutcome.Unreachable => false,
        };
}
