using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;

namespace Hypervisor.Backends.Block.Filters;

/// <content>What goes to the disk, and when.</content>
public sealed partial class SharedDisk
{
    // Sends what may go, as much at once as the image takes without waiting; ends what found room.
    private void Pump()
    {
        while (true)
        {
            LinkedListNode<SharedDiskChange>? going = null;
            BlockRequest? ended = null;
            BlockRequest? flush = null;
            BlockStatus status = default;
            lock (_lock)
            {
                if (TryEnd(out ended))
                {
                    status = _hasFailed ? BlockStatus.IoError : BlockStatus.Ok;
                }
                else if (_next is { } next && HasReleased && !_isFlushing && !_isYielding && _isAcquired
                    && _onTheirWay < (next.Value.Flush is null ? OnTheirWayMax : 1) && MayWrite())
                {
                    going = next;
                    going.Value.IsOnItsWay = true;
                    _next = next.Next;
                    _onTheirWay++;
                    _isFlushing = next.Value.Flush is not null;
                    _isUnsafe |= !_isFlushing;
                }
                else if (IsFlushDue)
                {
                    (int life, ulong epoch, _isFlushing) = (_lives, HasReleased ? 0 : _releasedEpoch, true);
                    flush = new BlockRequest(request => OnSafe(life, epoch, request.Status))
                    {
                        Operation = BlockOperation.Flush,
                    };
                }
                else if (IsLeaving && IsQuiet && _isAcquired)
                {
                    _isAcquired = false;
                    _giveUp(); // with the lock held: nobody acquires in between
                    return;
                }
                else
                {
                    return;
                }
            }

            ended?.Complete(status);
            if (flush is not null)
            {
                Settle(flush);
            }

            if (going is not null)
            {
                Inner.Submit(going.Value.ToRequest(request => OnDone(going, request.Status)));
            }
        }
    }

    // All with the lock held.
    private bool HasReleased => _next?.Value.Number < _releasedEnd;

    private bool IsQuiet => _onTheirWay == 0 && _passing == 0 && !_isFlushing;

    private bool IsLeaving => _isYielding || _marks.Mode == OutboxMode.Dropping;

    // Who comes after this side must not be overtaken by what is in the cache of its host.
    private bool IsFlushDue => IsQuiet && !_hasFailed && (IsLeaving
        ? _isUnsafe && _isAcquired
        : _marks.Mode == OutboxMode.Holding && _settledEpoch < _releasedEpoch && !HasReleased);

    private void OnDone(LinkedListNode<SharedDiskChange> node, BlockStatus status)
    {
        bool isFailure;
        SharedDiskChange change = node.Value;
        lock (_lock)
        {
            _onTheirWay--;
            change.IsOnItsWay = false;
            bool isDone = status is BlockStatus.Ok
                || (change.Operation == BlockOperation.Discard && status == BlockStatus.Unsupported);
            isFailure = Fail(!isDone);
            status = _hasFailed ? BlockStatus.IoError : BlockStatus.Ok;
            if (change.Flush is not null)
            {
                _isFlushing = false;
                _isUnsafe &= _hasFailed; // it was sent alone
            }
            else if (_marks.Mode == OutboxMode.Holding)
            {
                _unsettledCount++;
                _unsettledBytes += change.Data.Length;
            }

            if (isDone || change.Flush is not null)
            {
                Remove(node); // a change that failed stays: the guest must not read what was there before
            }
        }

        if (isFailure)
        {
            OnFailed();
        }

        change.Flush?.Complete(status);
        Pump();
    }

    // Lock held. Finds what need not wait any more: it has room now, or never reaches the disk.
    private bool TryEnd([NotNullWhen(true)] out BlockRequest? ended)
    {
        if ((HasRoom || _hasFailed) && _owed.TryDequeue(out ended))
        {
            return true;
        }

        ended = null;
        for (LinkedListNode<SharedDiskChange>? node = _hasFailed ? _changes.First : null; node is not null;
            node = node.Next)
        {
            if (node.Value is { Flush: { } flush, IsOnItsWay: false })
            {
                Remove(node);
                ended = flush;
                return true;
            }
        }

        return false;
    }
}
