using System;
using System.Threading;

namespace Hypervisor.Backends.Network;

/// <summary>Frames that a NIC sent and that are not outside yet: held by epoch, or merely on their way.</summary>
/// <remarks>
/// Fault-tolerance rules 1 to 3 and 23. It is bounded and drops nothing of an open epoch: what it has no room for is
/// refused, and the NIC leaves it in its queue, so that the guest sees a slow network. Frames are not sent to the
/// standby: a takeover may lose some (rule 5).
/// <para>
/// Threads: <see cref="TryAdd"/> on the guest's side (bus lock), <see cref="TryTake"/> on the thread that sends, the
/// rest on the session's.
/// </para>
/// </remarks>
/// <param name="bytesMax">Most bytes kept; a power of two of at least 64 KiB.</param>
public sealed class FrameOutbox(int bytesMax) : IEpochOutbox
{
    // Protects everything below; taken inside the bus lock, and nothing is called while it is held.
    private readonly Lock _lock = new();
    private readonly EpochMarks _marks = new(); // in frames
    private readonly FrameRing _frames = new(bytesMax);
    private long _releasedEnd; // frames before this one may leave
    private bool _isRefusing;

    /// <inheritdoc/>
    public Action<ulong> OnHeld { get; set; } = static _ => { };

    /// <summary>Called when frames may leave. Any thread; must not block.</summary>
    public Action OnReleased { get; set; } = static () => { };

    /// <summary>Called when there is room again after a refusal. Any thread; must not block.</summary>
    public Action OnRoom { get; set; } = static () => { };

    /// <summary>Bytes kept; never more than the most.</summary>
    public int KeptBytes
    {
        get
        {
            lock (_lock)
            {
                return _frames.UsedBytes;
            }
        }
    }

    /// <summary>Takes a frame that the guest sends now. False: there is no room; the caller keeps it.</summary>
    /// <param name="queue">Queue of the NIC, for <see cref="TryTake"/>.</param>
    /// <param name="frame">The frame with its header.</param>
    public bool TryAdd(int queue, ReadOnlySpan<byte> frame)
    {
        bool isReleased;
        bool isFirst;
        ulong epoch = 0;
        lock (_lock)
        {
            if (_marks.Mode == OutboxMode.Dropping)
            {
                return true;
            }

            if (_isRefusing || !_frames.TryAdd(queue, frame))
            {
                _isRefusing = true; // until half of it is free: not frame by frame
                return false;
            }

            isReleased = _marks.Mode == OutboxMode.Passing;
            _releasedEnd = isReleased ? _frames.End : _releasedEnd;
            isFirst = !isReleased && _marks.Hold(out epoch);
        }

        if (isReleased)
        {
            OnReleased();
        }
        else if (isFirst)
        {
            OnHeld(epoch);
        }

        return true;
    }

    /// <summary>Takes the next frame that may leave. False: none may.</summary>
    public bool TryTake(Span<byte> target, out int queue, out int lengthBytes)
    {
        bool hasRoom;
        lock (_lock)
        {
            queue = lengthBytes = 0;
            if (_frames.First >= _releasedEnd)
            {
                return false;
            }

            ReadOnlySpan<byte> frame = _frames.Peek(out queue);
            lengthBytes = frame.Length;
            frame.CopyTo(target);
            _frames.Remove();
            hasRoom = EndsRefusal();
        }

        if (hasRoom)
        {
            OnRoom();
        }

        return true;
    }

    /// <inheritdoc/>
    public void BeginEpoch(ulong epoch)
    {
        lock (_lock)
        {
            _marks.Begin(epoch, _frames.End);
        }
    }

    /// <inheritdoc/>
    public void Release(ulong epoch)
    {
        lock (_lock)
        {
            _releasedEnd = _marks.TryRelease(epoch, out long end) ? end : _releasedEnd;
        }

        OnReleased();
    }

    /// <inheritdoc/>
    public void Pass()
    {
        lock (_lock)
        {
            _marks.End(OutboxMode.Passing);
            _releasedEnd = _frames.End;
        }

        OnReleased();
    }

    /// <inheritdoc/>
    /// <remarks>Released frames that are still here go, too: who lost the guest is silent from now on.</remarks>
    public void Drop()
    {
        bool hasRoom;
        lock (_lock)
        {
            _marks.End(OutboxMode.Dropping);
            _frames.Clear();
            hasRoom = EndsRefusal();
        }

        if (hasRoom)
        {
            OnRoom();
        }
    }

    private bool EndsRefusal()
    {
        bool ends = _isRefusing && _frames.UsedBytes <= bytesMax / 2;
        _isRefusing &= !ends;
        return ends;
    }
}
