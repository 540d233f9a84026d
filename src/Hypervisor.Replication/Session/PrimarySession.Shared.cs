using System;
using System.Collections.Generic;
using System.Threading;
using Hypervisor.Backends.Block.Filters;
using Hypervisor.Replication.Epochs;

namespace Hypervisor.Replication.Session;

/// <content>Disks that both halves reach: what is settled, and until when this side may write to them.</content>
public sealed partial class PrimarySession
{
    private readonly Dictionary<SharedDisk, ulong> _settled = []; // locked: last epoch that each told of
    private bool _isPassing = true; // nothing is held: this side runs alone, by the witness
    private long _mayWriteUntil = long.MaxValue; // read by whoever is about to write to a shared disk

    private void WatchShared()
    {
        foreach (SharedDisk disk in _setup.SharedDisks)
        {
            disk.OnSettled = epoch => OnSettled(disk, epoch);
            disk.OnFailed = () => Post(new PrimaryEvent(
                PrimaryEventKind.Failure,
                Source: Volatile.Read(ref _run),
                Text: "a shared disk failed a change that was released"));
            disk.MayWrite = () => Now < Volatile.Read(ref _mayWriteUntil); // pairs with TellLease
        }
    }

    private void UnwatchShared()
    {
        foreach (SharedDisk disk in _setup.SharedDisks)
        {
            disk.OnSettled = static _ => { };
            disk.OnFailed = static () => { };
        }
    }

    // A process that was stopped, and goes on after somebody else took over, must find its lease over before its next
    // write, though its threads were in the middle of a release.
    private void TellLease()
        => Volatile.Write(ref _mayWriteUntil, _isPassing ? long.MaxValue : _core.LeaseEndNanos);

    // Without a lease this side writes no more: a standby that has won waits for the locks, and this side may be cut
    // off from the witness, or have nobody who tells it. With a lease again, or alone, it takes them back and goes on.
    private void LookAfterShared()
    {
        bool isOver = _core.State == PrimaryState.Ended; // nobody takes over any more: the rest may take its time
        bool isOverNow = isOver && !_isPassing;
        _isPassing = isOver || (_isPassing && _core.State != PrimaryState.Protected);
        TellLease();
        // While it pairs, the standby looks at the lock: by that it knows the image. And a life begins without a lease.
        bool isBeginning = _core.State == PrimaryState.Pairing
            || (_core.State == PrimaryState.Protected && _mayWriteUntil == 0);
        foreach (SharedDisk disk in _setup.SharedDisks)
        {
            if (isBeginning || Now < _mayWriteUntil)
            {
                _ = disk.TryAcquire(); // else at the next look
            }
            else
            {
                disk.Yield();
            }

            if (isOverNow)
            {
                disk.Pass();
            }
        }
    }

    // Any thread. An epoch is settled when it is on every shared disk.
    private void OnSettled(SharedDisk disk, ulong epoch)
    {
        ulong all = epoch;
        lock (_settled)
        {
            _settled[disk] = epoch;
            foreach (SharedDisk other in _setup.SharedDisks)
            {
                all = Math.Min(all, _settled.GetValueOrDefault(other));
            }
        }

        Post(new PrimaryEvent(PrimaryEventKind.Settled, Source: Volatile.Read(ref _run), Epoch: all));
    }
}
