using System;
using System.Collections.Generic;
using System.Threading;
using Hypervisor.Core;

namespace Hypervisor.Backends.Block.Filters;

/// <summary>
/// A disk that both halves of a pair can reach: what a protected guest writes waits here and reaches the disk when its
/// epoch is released, as output does (fault-tolerance rule 4).
/// </summary>
/// <remarks>
/// Reads see what waits. A flush waits for the release of its epoch and for the disk, so what a guest was told to be
/// durable is on the shared disk, and what is there in part after a crash is what a disk may show after a power loss.
/// It is bounded: a change that is one too many ends when there is room, and the guest waits (rule 23). While nothing
/// protects the guest all passes.
/// <para>
/// One half uses the disk at a time: <see cref="TryAcquire"/> takes the image's lock, <see cref="Drop"/> gives it up
/// once nothing is on its way and what arrived is flushed. Nothing is sent without the lock, and nothing that was held
/// without <see cref="MayWrite"/>, which is asked before each change.
/// </para>
/// <para>
/// Threads: <see cref="Submit"/> on the guest's side (bus lock), completions on the image's, the rest on the session's.
/// </para>
/// </remarks>
public sealed partial class SharedDisk : BlockFilter, IEpochOutbox
{
    /// <summary>Most changes that are not known to be durable on the disk and have ended for the guest.</summary>
    public const int HeldCountMax = 4096;

    /// <summary>Most bytes of such writes.</summary>
    public const long HeldBytesMax = 64 << 20;

    private const int OnTheirWayMax = 256; // of released changes; below what an image takes without waiting

    // Protects everything below. Taken inside the bus lock; only the image's lock and MayWrite are asked inside it.
    private readonly Lock _lock = new();
    private readonly EpochMarks _marks = new(); // in changes
    private readonly LinkedList<SharedDiskChange> _changes = []; // not known to be on the disk, in order
    private readonly Queue<BlockRequest> _owed = new(); // changes above the bound; as many as the guest's queues hold
    private readonly Func<bool> _tryAcquire;
    private readonly Action _giveUp;
    private readonly Stack<PassedRequest> _idlePassed = new();
    private LinkedListNode<SharedDiskChange>? _next; // first that is not on its way
    private long _end;                     // changes that ever came
    private long _releasedEnd;             // those before it may reach the disk
    private long _heldBytes;
    private int _unsettledCount;           // changes that are on the disk and not known to be durable there
    private long _unsettledBytes;          // of them
    private long _lifeStart;               // first change of this life of the pair
    private int _onTheirWay;
    private int _passing;                  // changes that were not held and are not done
    private bool _isFlushing;
    private bool _isUnsafe;                // something was written since the last flush of its own
    private ulong _releasedEpoch;
    private ulong _settledEpoch;
    private int _lives;                    // of pairs
    private bool _isAcquired;
    private bool _isYielding;              // nothing more is sent, and the lock given up once nothing is on its way
    private bool _hasFailed;

    /// <summary>Lays it over an image, which it owns from now on.</summary>
    /// <param name="inner">The image.</param>
    /// <param name="tryAcquire">Takes the image for this process; false: somebody else has it.</param>
    /// <param name="giveUp">Lets others take it.</param>
    public SharedDisk(IBlockDevice inner, Func<bool> tryAcquire, Action giveUp)
        : base(inner)
    {
        _tryAcquire = tryAcquire;
        _giveUp = giveUp;
    }

    /// <inheritdoc/>
    public override bool CanResize => false; // the other half would have to know

    /// <inheritdoc/>
    public Action<ulong> OnHeld { get; set; } = static _ => { };

    /// <summary>
    /// Called with an epoch once it, and all before it, are durable on the disk: the standby need not keep it. Any
    /// thread; must not block.
    /// </summary>
    public Action<ulong> OnSettled { get; set; } = static _ => { };

    /// <summary>
    /// Called once when the disk fails a change that was released, or a flush. Any thread; must not block.
    /// </summary>
    public Action OnFailed { get; set; } = static () => { };

    /// <summary>
    /// Asked before each change that was held is sent to the disk: whether this side is still sure that nobody took
    /// over (rule 26). Leaf: takes no lock. What it holds back goes on with the next release, or when the guest runs
    /// alone.
    /// </summary>
    public Func<bool> MayWrite { get; set; } = static () => true;

    /// <summary>Whether another process, on any host, has the disk for itself.</summary>
    public bool IsHeldElsewhere()
    {
        lock (_lock)
        {
            if (_isAcquired || !_tryAcquire())
            {
                return !_isAcquired;
            }

            _giveUp();
            return false;
        }
    }

    /// <summary>Makes this process the one that writes. False: somebody else is it.</summary>
    public bool TryAcquire()
    {
        bool isAcquired;
        lock (_lock)
        {
            _isYielding = false;
            isAcquired = _isAcquired = _isAcquired || _tryAcquire();
        }

        Pump();
        return isAcquired;
    }

    /// <summary>
    /// Sends nothing more, and gives the lock up once nothing is on its way, so that somebody who has won at the
    /// witness need not wait for this side to find that out. What waits is kept; <see cref="TryAcquire"/> goes on with
    /// it.
    /// </summary>
    public void Yield()
    {
        lock (_lock)
        {
            _isYielding = true;
        }

        Pump();
    }

    /// <inheritdoc/>
    public override void Submit(BlockRequest request)
    {
        ulong? urgent = null;
        bool isTaken;
        BlockRequest below = request;
        BlockStatus? end = null;
        SharedDiskChange[] seen = [];
        lock (_lock)
        {
            isTaken = _marks.Mode == OutboxMode.Holding && request.Operation != BlockOperation.Read;
            if (request.Operation == BlockOperation.Read)
            {
                seen = Overlapping(request);
            }
            else if (_marks.Mode == OutboxMode.Dropping && request.Operation != BlockOperation.Flush)
            {
                (isTaken, end) = (true, BlockStatus.Ok); // of a guest that runs elsewhere
            }
            else if (isTaken)
            {
                end = Take(request, ref urgent);
            }
            else if (_changes.Count > 0 || (_isYielding && request.Operation != BlockOperation.Flush))
            {
                // What was held is on its way, or cannot be before the lock is back: all keep their order, and a
                // flush covers it.
                isTaken = true;
                end = Take(request, ref urgent);
                _releasedEnd = _end;
            }
            else if (request.Operation != BlockOperation.Flush)
            {
                Check.That(_isAcquired);
                below = Passing(request);
            }
        }

        if (seen.Length > 0)
        {
            Inner.Submit(new OverlaidRead(request, seen).Below);
        }
        else if (!isTaken)
        {
            Inner.Submit(below);
        }

        if (end is { } status)
        {
            request.Complete(status);
        }

        if (urgent is { } epoch)
        {
            OnHeld(epoch);
        }

        Pump();
    }

    /// <inheritdoc/>
    public void BeginEpoch(ulong epoch)
    {
        lock (_lock)
        {
            if (_marks.Mode == OutboxMode.Passing)
            {
                _lives++;
                (_releasedEpoch, _settledEpoch, _isUnsafe) = (0, 0, true); // and what passed is not durable
                (_unsettledCount, _unsettledBytes, _lifeStart) = (0, 0, _end);
            }

            _marks.Begin(epoch, _end);
        }
    }

    /// <inheritdoc/>
    public void Release(ulong epoch)
    {
        lock (_lock)
        {
            _releasedEnd = _marks.TryRelease(epoch, out long end) ? end : _releasedEnd;
            _releasedEpoch = Math.Max(_releasedEpoch, epoch);
        }

        Pump();
    }

    /// <inheritdoc/>
    public void Pass()
    {
        lock (_lock)
        {
            _marks.End(OutboxMode.Passing);
            _releasedEnd = _end;
            (_unsettledCount, _unsettledBytes) = (0, 0); // nobody has to repeat it
        }

        Pump();
    }

    /// <inheritdoc/>
    /// <remarks>
    /// Also what was released and is not on its way: it is committed, so whoever takes over writes it, and something
    /// newer perhaps.
    /// </remarks>
    public void Drop()
    {
        List<BlockRequest> ended = [];
        lock (_lock)
        {
            _marks.End(OutboxMode.Dropping);
            (_next, _isUnsafe) = (null, true);
            for (LinkedListNode<SharedDiskChange>? node = _changes.First, next; node is not null; node = next)
            {
                next = node.Next;
                if (!node.Value.IsOnItsWay)
                {
                    Remove(node);
                    ended.AddRange(node.Value.Flush is { } flush ? [flush] : []);
                }
            }

            ended.AddRange(_owed);
            _owed.Clear();
        }

        ended.ForEach(static request => request.Complete(BlockStatus.IoError));
        Pump();
    }

    /// <summary>The guest is gone: drops what is held, or cannot be written as somebody else has the disk.</summary>
    public void End()
    {
        bool isInVain;
        lock (_lock)
        {
            isInVain = _marks.Mode == OutboxMode.Holding || !_isAcquired;
        }

        if (isInVain)
        {
            Drop();
        }
    }

    /// <summary>Drops what is held, makes the rest durable, and closes the image.</summary>
    public override void Dispose()
    {
        End();
        using (var blocking = new BlockingBlockDevice(this))
        {
            _ = blocking.Flush(); // a failure was reported when it happened
        }

        base.Dispose();
        GC.SuppressFinalize(this);
    }

    // Lock held. Null: it waits for its end.
    private BlockStatus? Take(BlockRequest request, ref ulong? urgent)
    {
        bool isFlush = request.Operation == BlockOperation.Flush;
        if (_hasFailed)
        {
            return BlockStatus.IoError; // an older change never reached the disk: nothing may pass it
        }

        if (!isFlush && !IsInside(request))
        {
            return IsReadOnly ? BlockStatus.ReadOnly : BlockStatus.OutOfRange;
        }

        // It is of this epoch in any case, as its tag is; what may wait is its end.
        var change = new SharedDiskChange(_end++, request, isFlush ? request : null);
        _heldBytes += change.Data.Length;
        LinkedListNode<SharedDiskChange> node = _changes.AddLast(change);
        _next ??= node;
        bool hasRoom = HasRoom;
        if (!hasRoom && !isFlush)
        {
            _owed.Enqueue(request);
        }

        if ((isFlush || !hasRoom) && _marks.Mode == OutboxMode.Holding && _marks.Hold(out ulong epoch))
        {
            urgent = epoch; // the guest waits for the release
        }

        return hasRoom && !isFlush ? BlockStatus.Ok : null;
    }

    // Counted until it is durable: so much the standby has to keep, besides what is one too many.
    private bool HasRoom
        => _changes.Count + _unsettledCount <= HeldCountMax && _heldBytes + _unsettledBytes <= HeldBytesMax;

    private void Remove(LinkedListNode<SharedDiskChange> node)
    {
        _heldBytes -= node.Value.Data.Length;
        _changes.Remove(node);
    }

    // Lock held. What waits and lies in the range, oldest first.
    private SharedDiskChange[] Overlapping(BlockRequest request)
    {
        List<SharedDiskChange>? found = null;
        foreach (SharedDiskChange change in _changes)
        {
            if (change.Overlaps(request.OffsetBytes, request.LengthBytes))
            {
                (found ??= []).Add(change);
            }
        }

        return found is null ? [] : [.. found];
    }

    private bool IsInside(BlockRequest request)
    {
        long length = request.LengthBytes;
        return !IsReadOnly && length >= 0 && length <= LengthBytes
            && request.OffsetBytes >= 0 && request.OffsetBytes <= LengthBytes - length;
    }
}
