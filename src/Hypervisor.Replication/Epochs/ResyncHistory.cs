using System.Collections.Generic;
using Hypervisor.Core;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Replication.Epochs;

/// <summary>
/// Stamps for changes, over all lives of a pair that this side remembers: from the point where a copy stands follows
/// what it misses (rules 35, 38).
/// </summary>
/// <remarks>
/// Disks and RAM keep, for each piece, the stamp of its last change. Stamps only grow: epoch n of a life has the life's
/// first stamp + n, and what changes between two lives keeps the stamp of the epoch that was never committed. So a copy
/// that stands at epoch n misses exactly what has a higher stamp than that epoch, however many copies were begun and
/// cut off since.
/// </remarks>
internal sealed class ResyncHistory
{
    /// <summary>Lives that are remembered; a standby of an older one is compared as a whole.</summary>
    public const int LivesMax = 16;

    /// <summary>Stamp of what changes before the first life.</summary>
    public const ulong FirstStamp = 1;

    // A rim may have begun the epoch after the one that the core has as open; and no two lives share a stamp.
    private const ulong GapBetweenLives = 2;

    private readonly Queue<Life> _lives = new();
    private Life? _open;
    private ulong _nextBase = FirstStamp + 1;

    private enum Origin
    {
        Here,     // this side was the primary, in this process
        TookOver, // this side was the standby, until its first epoch
        Before,   // this side was the primary, in a process before; all that it changed since counts as changed
    }

    private sealed record Life(ulong Incarnation, ulong FirstEpoch, ulong LastEpoch, ulong BaseStamp, Origin Origin);

    /// <summary>
    /// This side took over from a pair at a point: what it changed since has <see cref="FirstStamp"/> or more. Before
    /// the first life.
    /// </summary>
    public void TookOver(ReplicaPoint point)
        => Remember(new Life(point.Incarnation, point.Epoch, point.Epoch, 0, Origin.TookOver));

    /// <summary>
    /// This side was the primary of a life, in a process before: what it changed since an epoch of that, and what it
    /// changes now, has <see cref="FirstStamp"/> or more. Before the first life.
    /// </summary>
    public void Restore(ReplicaPoint point)
        => Remember(new Life(point.Incarnation, point.Epoch, ulong.MaxValue, 0, Origin.Before));

    /// <summary>A life begins with a copy to a standby that stands at a point.</summary>
    /// <param name="incarnation">The new life's.</param>
    /// <param name="point">Where the standby's disks stand.</param>
    /// <param name="hasRam">Whether its RAM stands there as well.</param>
    /// <param name="wasPrimary">
    /// Whether the standby was the primary of that life: it has all of the epochs up to the point and names besides
    /// what it changed after it (rule 37).
    /// </param>
    public ResyncPlan Open(ulong incarnation, ReplicaPoint point, bool hasRam, bool wasPrimary)
    {
        Check.That(_open is null);
        ulong? after = null;
        bool isRamKnown = false;
        foreach (Life life in _lives)
        {
            if (life.Incarnation == point.Incarnation && Knows(life, point.Epoch, wasPrimary))
            {
                isRamKnown = life.Origin == Origin.Here && hasRam;
                after = life.Origin == Origin.Here ? life.BaseStamp + point.Epoch : FirstStamp - 1;
            }
        }

        _open = new Life(incarnation, 0, 0, _nextBase, Origin.Here);
        return new ResyncPlan(incarnation, _nextBase, after, isRamKnown ? after : null);
    }

    private static bool Knows(Life life, ulong epoch, bool wasPrimary) => wasPrimary
        ? life.Origin == Origin.TookOver && epoch <= life.FirstEpoch
        : epoch >= life.FirstEpoch && epoch <= life.LastEpoch;

    private void Remember(Life life)
    {
        Check.That(_open is null && _nextBase == FirstStamp + 1 && _lives.Count < LivesMax);
        if (life.Incarnation != 0)
        {
            _lives.Enqueue(life);
        }
    }

    /// <summary>The life is over.</summary>
    /// <param name="endedEpoch">Last epoch that the standby may have.</param>
    /// <param name="openEpoch">The epoch that was open.</param>
    public void Close(ulong endedEpoch, ulong openEpoch)
    {
        Check.That(_open is not null && endedEpoch <= openEpoch);
        if (_lives.Count == LivesMax)
        {
            _ = _lives.Dequeue();
        }

        _lives.Enqueue(_open with { LastEpoch = endedEpoch });
        _nextBase = _open.BaseStamp + openEpoch + GapBetweenLives;
        _open = null;
    }
}
