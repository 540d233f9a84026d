using System.Threading;

namespace Hypervisor.Backends.Block.Filters;

/// <content>When what reached the disk is durable there.</content>
public sealed partial class SharedDisk
{
    /// <summary>
    /// After the first cut of a life of the pair: makes everything durable that passed before it. The guest counts on
    /// it, and the standby has nothing of it. Blocks; for a thread of its own.
    /// </summary>
    public BlockStatus FlushPassed()
    {
        using var never = new ManualResetEventSlim();
        while (HasPassing)
        {
            never.Wait(1);
        }

        using var blocking = new BlockingBlockDevice(Inner);
        BlockStatus status = blocking.Flush();
        return HasFailed ? BlockStatus.IoError : status;
    }

    private bool HasFailed
    {
        get
        {
            lock (_lock)
            {
                return _hasFailed;
            }
        }
    }

    // Lock held. True: it is the first failure, of which somebody is to be told.
    private bool Fail(bool hasFailed)
    {
        bool isFirst = hasFailed && !_hasFailed;
        _hasFailed |= hasFailed;
        _next = isFirst ? null : _next; // nothing newer may pass it
        return isFirst;
    }

    private bool HasPassing
    {
        get
        {
            lock (_lock)
            {
                return _passing > 0 || (!_hasFailed && _changes.First?.Value.Number < _lifeStart);
            }
        }
    }

    // Lock held. A change that goes to the disk at once.
    private BlockRequest Passing(BlockRequest above)
    {
        _passing++;
        return (_idlePassed.TryPop(out PassedRequest? passed) ? passed : new PassedRequest(this)).For(above);
    }

    // Nothing is on its way, and nothing goes before this is over.
    private void Settle(BlockRequest flush)
    {
        if (Volatile.Read(ref _isUnsafe)) // changed by who sends, and nobody does
        {
            Inner.Submit(flush);
        }
        else
        {
            flush.Complete(BlockStatus.Ok);
        }
    }

    private void OnSafe(int life, ulong epoch, BlockStatus status)
    {
        bool isSettled;
        bool isFailure;
        lock (_lock)
        {
            _isFlushing = false;
            isFailure = Fail(status != BlockStatus.Ok);
            _isUnsafe &= _hasFailed;
            isSettled = !_hasFailed && epoch > 0 && life == _lives && _marks.Mode == OutboxMode.Holding;
            if (isSettled)
            {
                _settledEpoch = epoch;
                (_unsettledCount, _unsettledBytes) = (0, 0); // nothing was sent meanwhile
            }
        }

        if (isSettled)
        {
            OnSettled(epoch);
        }
        else if (isFailure)
        {
            OnFailed();
        }

        Pump();
    }

    private sealed class PassedRequest(SharedDisk disk) : StandIn
    {
        protected override void OnEnded(BlockRequest below)
        {
            lock (disk._lock)
            {
                disk._passing--;
                disk._idlePassed.Push(this);
            }

            disk.Pump();
        }
    }
}
