using System;
using System.Collections.Generic;
using System.Threading;
using Hypervisor.Core;

namespace Hypervisor.Backends.Block.Filters;

/// <summary>
/// On the primary, above any image: shows everything that changes the disk to an observer, tagged with its epoch.
/// </summary>
/// <remarks>
/// The observer sees a request before the image does, in the order of submission, and a request that the image would
/// refuse not at all. During the full copy a range is read while submissions wait, so the observer's order is the
/// order on the disk (fault-tolerance rules 16, 18, 24). Nothing is drained at a cut. Also while nobody observes, it
/// keeps a map of what changed when (rules 36, 37).
/// </remarks>
/// <param name="inner">The device below.</param>
/// <param name="disk">Its number.</param>
/// <param name="changes">Where to keep what changed when; null: a map of its own.</param>
public sealed class EpochTagFilter(IBlockDevice inner, int disk, ChangeMap? changes = null) : BlockFilter(inner)
{
    // Protects the fields below and the order of observer and image. Taken inside the bus lock; the observer may
    // wait in it.
    private readonly Lock _lock = new();
    private readonly Queue<BlockRequest> _held = new();
    private readonly Stack<TaggedRequest> _idle = new();
    private IEpochTagObserver? _observer;
    private ulong _epoch;
    private ulong _stamp = 1;
    private bool _isReadingRange;
    private long _sizeAhead = inner.LengthBytes; // once everything that was submitted is done

    /// <summary>Which disk of the machine it is, in the machine's order.</summary>
    public int Disk => disk;

    /// <summary>What changed when, by stamp.</summary>
    public ChangeMap Changes { get; } = changes ?? new ChangeMap(inner.LengthBytes);

    /// <summary>Size of the disk once everything that was submitted is done.</summary>
    public long SizeAheadBytes
    {
        get
        {
            lock (_lock)
            {
                return _sizeAhead;
            }
        }
    }

    /// <summary>Starts tagging with <paramref name="epoch"/>.</summary>
    /// <param name="observer">Who is shown what changes.</param>
    /// <param name="epoch">The epoch that is open.</param>
    /// <param name="stamp">Stamp of its changes; the next epoch's is one more. Not below the last one.</param>
    public void Observe(IEpochTagObserver observer, ulong epoch, ulong stamp)
    {
        lock (_lock)
        {
            Check.That(_observer is null && stamp >= _stamp);
            _observer = observer;
            _epoch = epoch;
            _stamp = stamp;
        }
    }

    /// <summary>
    /// Nothing is shown until <see cref="ExitCut"/>, by the same thread: so that all disks, and who is told of the cut,
    /// see one instant. A paused machine is not enough: who read a range lets go what waited for that.
    /// </summary>
    public void EnterCut() => _lock.Enter();

    /// <summary>The end of <see cref="EnterCut"/>.</summary>
    public void ExitCut() => _lock.Exit();

    /// <summary>
    /// From now on submissions belong to <paramref name="epoch"/>. At the cut, with the machine paused.
    /// </summary>
    public void BeginEpoch(ulong epoch)
    {
        lock (_lock)
        {
            Check.That(_observer is null || epoch == _epoch + 1);
            _epoch = epoch;
            _stamp++;
        }
    }

    /// <summary>
    /// The disk below may have got another size past this filter: a standby's, when its primary's did. While nobody
    /// observes and nothing is under way.
    /// </summary>
    public void LookAtSize()
    {
        lock (_lock)
        {
            Check.That(_observer is null);
            if (_sizeAhead != LengthBytes)
            {
                _sizeAhead = LengthBytes;
                Changes.Resize(LengthBytes, _stamp);
            }
        }
    }

    /// <summary>A range counts as changed, for who has it otherwise. While nobody observes.</summary>
    public void MarkDoubtful(long offsetBytes, long lengthBytes, ulong stamp)
    {
        lock (_lock)
        {
            Changes.Mark(offsetBytes, lengthBytes, stamp);
        }
    }

    /// <summary>Ends tagging: everything passes unseen, with the stamp of the epoch that was open.</summary>
    public void StopObserving()
    {
        lock (_lock)
        {
            _observer = null;
        }
    }

    /// <summary>
    /// Reads a range into <paramref name="target"/> and shows it to the observer, with submissions held back meanwhile.
    /// Blocks; for a thread of its own. False when tagging ended.
    /// </summary>
    /// <param name="offsetBytes">First byte; the range lies inside the disk.</param>
    /// <param name="target">Takes the bytes.</param>
    /// <param name="status">How the read ended.</param>
    public bool TryCopyRange(long offsetBytes, Memory<byte> target, out BlockStatus status)
    {
        Check.That(target.Length <= LengthBytes && offsetBytes <= LengthBytes - target.Length);
        using var done = new ManualResetEventSlim();
        var read = new BlockRequest(_ => done.Set())
        {
            Operation = BlockOperation.Read,
            OffsetBytes = offsetBytes,
            LengthBytes = target.Length,
            Buffer = target,
        };
        lock (_lock)
        {
            Check.That(!_isReadingRange);
            _isReadingRange = true;
        }

        // Requests before it are ordered by the image (IBlockDevice: overlapping ones keep their order).
        Inner.Submit(read);
        done.Wait();
        status = read.Status;
        lock (_lock)
        {
            bool isObserved = _observer is not null;
            if (isObserved && status == BlockStatus.Ok)
            {
                _observer!.OnCopied(disk, offsetBytes, target);
            }

            _isReadingRange = false;
            while (_held.TryDequeue(out BlockRequest? request))
            {
                Pass(request);
            }

            return isObserved;
        }
    }

    /// <inheritdoc/>
    public override void Submit(BlockRequest request)
    {
        lock (_lock)
        {
            if (_isReadingRange)
            {
                _held.Enqueue(request); // as many as the guest's queues hold
            }
            else
            {
                Pass(request);
            }
        }
    }

    private void Pass(BlockRequest request)
    {
        bool isResize = request.Operation == BlockOperation.Resize;
        if (isResize && _observer is not null && _epoch == 0)
        {
            request.Complete(BlockStatus.Unsupported); // the full copy goes by the sizes that both sides began with
            return;
        }

        bool isChange = request.Operation != BlockOperation.Read && WillBeTaken(request);
        bool isTagged = _observer is not null && isChange;
        if (isChange && isResize)
        {
            Changes.Resize(request.LengthBytes, _stamp);
        }
        else if (isChange && request.Operation != BlockOperation.Flush)
        {
            Changes.Mark(request.OffsetBytes, request.LengthBytes, _stamp);
        }

        if (!isTagged && !isResize)
        {
            Inner.Submit(request);
            return;
        }

        if (isTagged)
        {
            _observer!.OnTagged(disk, _epoch, request);
        }

        if (isResize && WillBeTaken(request))
        {
            _sizeAhead = request.LengthBytes;
        }

        if (!_idle.TryPop(out TaggedRequest? tagged))
        {
            tagged = new TaggedRequest(this);
        }

        Inner.Submit(tagged.For(request, isTagged ? _observer : null));
    }

    /// <summary>
    /// A write that the other side may have, of an epoch that was committed meanwhile, and this one has not.
    /// </summary>
    private void MarkFailed(BlockRequest request)
    {
        lock (_lock)
        {
            if (request.Operation != BlockOperation.Flush)
            {
                Changes.Mark(request.OffsetBytes, request.LengthBytes, _stamp);
            }
        }
    }

    /// <summary>Whether the image has no reason to refuse it; what it refuses must not change the other side.</summary>
    private bool WillBeTaken(BlockRequest request)
    {
        if (request.Operation == BlockOperation.Flush)
        {
            return true;
        }

        long length = request.LengthBytes;
        if (request.Operation == BlockOperation.Resize)
        {
            return CanResize && length > 0 && request.OffsetBytes == 0;
        }

        return !IsReadOnly && length > 0 && request.OffsetBytes >= 0
            && length <= _sizeAhead && request.OffsetBytes <= _sizeAhead - length
            && (request.Operation != BlockOperation.Write || request.Buffer.Length == length);
    }

    /// <summary>Notices a failure.</summary>
    private sealed class TaggedRequest(EpochTagFilter filter) : StandIn
    {
        private IEpochTagObserver? _observer;

        public BlockRequest For(BlockRequest above, IEpochTagObserver? observer)
        {
            _observer = observer;
            return For(above);
        }

        protected override void OnEnded(BlockRequest below)
        {
            if (below.Status != BlockStatus.Ok)
            {
                filter.MarkFailed(below);
                _observer?.OnTaggedFailed(filter.Disk, below.Operation, below.Status);
            }

            _observer = null;
            lock (filter._lock)
            {
                if (below.Operation == BlockOperation.Resize)
                {
                    filter._sizeAhead = filter.LengthBytes; // also when it failed
                }

                filter._idle.Push(this);
            }
        }
    }
}
