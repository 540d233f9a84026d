using System;
using System.IO;
using System.Linq;
using Hypervisor.Replication.Disk;
using Hypervisor.Replication.Wire;

namespace Hypervisor.Simulation;

/// <summary>Death of the standby, and what its disks and journal are then.</summary>
internal sealed partial class StandbyNode
{
    private bool _isReturning; // it was the primary, and its logs say what it changed

    /// <summary>
    /// Dies in the middle of what it does; then its disks and journal are looked at as a restart would.
    /// </summary>
    public void Crash(bool isPowerLost)
    {
        World.Trace(Name, isPowerLost ? "loses power" : "dies");
        BeDown();
        Host.ForgetErrors();
        _guest.Stop();
        foreach (SimLink link in _links.Values)
        {
            if (isPowerLost)
            {
                link.Vanish(this);
            }
            else
            {
                link.Close(this);
            }
        }

        Interrupt(_underway);
        if (isPowerLost)
        {
            Host.LosePower();
        }

        CheckDisks(isPowerLost);
    }

    /// <summary>Carries out a part of an operation, as far as it came before the process died.</summary>
    private void Interrupt(Func<string?>? effect)
    {
        if (effect is null || World.Prng.OneIn(3))
        {
            return;
        }

        _crash.Set(World.Prng.Next(0, 12));
        try
        {
            effect();
        }
        catch (CrashPoint.CrashedException)
        {
        }
        catch (IOException)
        {
        }

        _crash.Clear();
    }

    /// <summary>
    /// Somebody gives this side disks of other sizes, and starts it again: it sees that somebody wrote there (rule 44).
    /// </summary>
    public void TakeSizes(ReadOnlySpan<SimDisk> disks)
    {
        Crash(isPowerLost: false);
        for (int i = 0; i < disks.Length; i++)
        {
            _disks[i].Resize(disks[i].LengthBytes);
        }

        _isMarkedComplete = false;
        _marked = default;
        Host.ForgetIntents();
        Start();
    }

    /// <summary>Where the disks stand, as the product's worker finds it.</summary>
    private void Restore(ulong epoch)
    {
        if (!_universe.HasReturns)
        {
            _core.Restore(_marked, 0);
            return;
        }

        Changes = Host.OpenIntents(this);
        if (epoch > 0)
        {
            Host.ForgetIntents();
        }

        ReplicaPoint primary = Host.KnownPoints().LastOrDefault();
        _isReturning = primary.IsKnown;
        if (_isReturning)
        {
            _core.Restore(primary, Host.PromotedGeneration, Host.Doubtful());
        }
        else
        {
            _core.Restore(_marked, Host.PromotedGeneration);
        }
    }

    /// <summary>
    /// Disks and journal together are the disks of a committed epoch (rule 20), also when recovery is cut short.
    /// </summary>
    private void CheckDisks(bool isPowerLost)
    {
        byte[] before = (byte[])_disks[0].Bytes.Clone();
        var journal = new EpochJournal(_stores[0], _stores[1], _disks, _universe.Settings.SegmentBytesMax);
        Interrupt(() =>
        {
            journal.Recover();
            return null;
        });
        if (isPowerLost)
        {
            Host.LosePower();
        }

        journal = new EpochJournal(_stores[0], _stores[1], _disks, _universe.Settings.SegmentBytesMax);
        ulong incarnation, epoch;
        try
        {
            (incarnation, epoch) = journal.Recover();
        }
        catch (IOException) when (Host.IsDoubtful)
        {
            return; // found: it does not start
        }

        if (incarnation == _marked.Incarnation && epoch > _marked.Epoch)
        {
            _marked = _marked with { Epoch = epoch };
        }

        if (Host.IsDoubtful)
        {
            return;
        }

        if (_isLive)
        {
            if (!before.AsSpan().SequenceEqual(_disks[0].Bytes))
            {
                throw new RuleViolationException(
                    21, "the journal was replayed over what the guest wrote after the takeover");
            }

            return;
        }

        if (!_isMarkedComplete)
        {
            return;
        }

        ulong low = isPowerLost ? _surelyDurable : _surelyCommitted;
        for (ulong i = low; i <= _maybeCommitted && i < (ulong)_universe.History.Count; i++)
        {
            if ((epoch == 0 || epoch == i) && EpochHistory.AreDisks(_universe.History[i], _disks))
            {
                CheckRecords(isPowerLost);
                _surelyCommitted = _surelyDurable = _maybeCommitted = i; // from here on exactly this one
                return;
            }
        }

        throw new RuleViolationException(
            20, $"after recovery to epoch {epoch} the disks are of no epoch from {low} to {_maybeCommitted}");
    }

    private void CheckRecords(bool isPowerLost)
    {
        bool isCurrent = _universe.Witness.Record is { IsStandbyInSync: true } record
            && record.Incarnation == _core.Incarnation;
        if (isCurrent && (!isPowerLost || _universe.Settings.Standby.IsAckDurable))
        {
            _universe.Outside.CheckRecords("the standby after its crash", _disks[0].Bytes);
        }
    }
}
