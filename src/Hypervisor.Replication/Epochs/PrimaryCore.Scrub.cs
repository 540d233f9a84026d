using System;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Epochs;

/// <summary>
/// Comparing everything while the guest runs: ranges travel with the epoch whose state they have, and an epoch that
/// was applied was also the same.
/// </summary>
internal sealed partial class PrimaryCore
{
    private ScrubState _scrub;
    private string _scrubReason = "";
    private long _scrubbedBytes;
    private int _scrubNumber;
    private ulong _scrubEpoch;     // the newest one that holds a range
    private bool _isScrubSent;     // all ranges were handed over
    private ulong _appliedEpoch;   // as the standby says

    /// <summary>Begins to compare all RAM and all disks.</summary>
    /// <param name="bytesPerSecond">How fast, more than 0.</param>
    /// <returns>Null, or why not, and what is allowed.</returns>
    public string? StartScrub(long bytesPerSecond)
    {
        if (State != PrimaryState.Protected || _scrub == ScrubState.Running)
        {
            return _scrub == ScrubState.Running && State == PrimaryState.Protected
                ? "scrub: one is running; allowed: one at a time"
                : $"scrub: the primary is {State}; allowed: one that is protected";
        }

        (_scrub, _scrubReason, _scrubbedBytes, _scrubEpoch, _isScrubSent) = (ScrubState.Running, "", 0, 0, false);
        _scrubNumber++;
        _actions.StartScrub(bytesPerSecond);
        return null;
    }

    /// <summary>
    /// A range was read: RAM as of the cut that is being captured, a disk in its place among the guest's writes.
    /// </summary>
    public void OnScrubRead(ScrubMessage message, long nowNanos)
    {
        if (!IsReplicating || _scrub != ScrubState.Running)
        {
            message.Release();
            return;
        }

        _epochs.AddScrub(message);
        _scrubEpoch = Math.Max(_scrubEpoch, message.Epoch);
        _scrubbedBytes += message.Range.LengthBytes;
        SendStaged(message);
        LimitUnacked(nowNanos);
    }

    /// <summary>Every range was handed over.</summary>
    public void OnScrubSent()
    {
        _isScrubSent = true;
        TryFinishScrub();
    }

    private void OnApplied(ulong epoch)
    {
        _appliedEpoch = epoch;
        TryFinishScrub();
    }

    private void TryFinishScrub()
    {
        if (_scrub == ScrubState.Running && _isScrubSent && _appliedEpoch >= _scrubEpoch)
        {
            _scrub = ScrubState.Same;
            _actions.EndScrub(null, _scrubbedBytes);
        }
    }

    private void GiveUpScrub(string reason)
    {
        if (_scrub == ScrubState.Running)
        {
            (_scrub, _scrubReason) = (ScrubState.Ended, reason);
            _actions.EndScrub(reason, _scrubbedBytes);
        }
    }
}
