using System;
using System.Threading;
using Hypervisor.Core;

namespace Hypervisor.Backends.Console;

/// <summary>Holds console output back, by epoch, until the epoch may be seen outside. Input passes.</summary>
/// <remarks>
/// Fault-tolerance rules 1 to 4. Every byte has an offset: how many bytes the stream sent before it in all its life
/// on this host, so that a collector can drop what it has already after a takeover (rule 5).
/// <para>
/// Threads: Write on the guest's side (bus lock), the rest on the session's. The sink is written to inside the lock,
/// which keeps the order; it must not block for long.
/// </para>
/// </remarks>
/// <param name="inner">Where released bytes go.</param>
/// <param name="heldBytesMax">Most bytes held.</param>
/// <param name="onOverflow">Called once when bytes had to be dropped because more than that were held.</param>
public sealed class OutboxStream(IByteStream inner, int heldBytesMax, Action onOverflow) : IByteStream, IEpochOutbox
{
    private const int FirstBytes = 64 << 10;

    // Protects everything below, and the order at the sink; taken inside the bus lock.
    private readonly Lock _lock = new();
    private readonly EpochMarks _marks = new(); // in bytes
    private byte[] _ring = new byte[FirstBytes]; // byte at offset o lies at o % length; a power of two
    private long _releasedOffset;
    private long _endOffset;
    private bool _hasOverflown;

    /// <inheritdoc/>
    public Func<ReadOnlyMemory<byte>, int>? OnInput
    {
        get => inner.OnInput;
        set => inner.OnInput = value;
    }

    /// <inheritdoc/>
    public Action<ulong> OnHeld { get; set; } = static _ => { };

    /// <summary>Bytes that wait for release.</summary>
    public int HeldBytes
    {
        get
        {
            lock (_lock)
            {
                return (int)(_endOffset - _releasedOffset);
            }
        }
    }

    /// <inheritdoc/>
    public void Start() => inner.Start();

    /// <inheritdoc/>
    public void BeginEpoch(ulong epoch)
    {
        lock (_lock)
        {
            _marks.Begin(epoch, _endOffset);
        }
    }

    /// <summary>
    /// Bytes of the epoch that the last <see cref="BeginEpoch"/> closed, and the offset of the first of them.
    /// </summary>
    /// <returns>Their number; 0 when there are none, and for the epoch before holding began.</returns>
    public int ClosedBytes(ulong epoch, out long firstOffset)
    {
        lock (_lock)
        {
            firstOffset = _releasedOffset;
            return _marks.TryFind(epoch, ref firstOffset, out long end) ? (int)(end - firstOffset) : 0;
        }
    }

    /// <summary>
    /// Copies held bytes from <paramref name="offset"/> on, without releasing them. False once they are not held.
    /// </summary>
    public bool TryPeek(long offset, Span<byte> target)
    {
        lock (_lock)
        {
            if (offset < _releasedOffset || target.Length > _endOffset - offset)
            {
                return false;
            }

            int at = (int)(offset & (_ring.Length - 1));
            int first = Math.Min(target.Length, _ring.Length - at);
            _ring.AsSpan(at, first).CopyTo(target);
            _ring.AsSpan(0, target.Length - first).CopyTo(target[first..]);
            return true;
        }
    }

    /// <inheritdoc/>
    public void Release(ulong epoch)
    {
        lock (_lock)
        {
            if (_marks.TryRelease(epoch, out long end))
            {
                LetOut(end);
            }
        }
    }

    /// <inheritdoc/>
    public void Pass()
    {
        lock (_lock)
        {
            _marks.End(OutboxMode.Passing);
            LetOut(_endOffset);
        }
    }

    /// <inheritdoc/>
    public void Drop()
    {
        lock (_lock)
        {
            _marks.End(OutboxMode.Dropping);
            _endOffset = _releasedOffset;
        }
    }

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> bytes)
    {
        bool overflows = false;
        bool isFirst = false;
        ulong epoch = 0;
        lock (_lock)
        {
            switch (_marks.Mode)
            {
                case OutboxMode.Passing:
                    _endOffset += bytes.Length;
                    _releasedOffset = _endOffset;
                    inner.Write(bytes);
                    break;
                case OutboxMode.Holding when bytes.Length <= heldBytesMax - (_endOffset - _releasedOffset):
                    Hold(bytes);
                    isFirst = bytes.Length > 0 && _marks.Hold(out epoch);
                    break;
                case OutboxMode.Holding:
                    overflows = !_hasOverflown;
                    _hasOverflown = true;
                    break;
                case OutboxMode.Dropping:
                    break;
            }
        }

        if (isFirst)
        {
            OnHeld(epoch);
        }

        if (overflows)
        {
            onOverflow();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => inner.Dispose();

    private void Hold(ReadOnlySpan<byte> bytes)
    {
        int held = (int)(_endOffset - _releasedOffset);
        if (held + bytes.Length > _ring.Length)
        {
            Grow(held, held + bytes.Length);
        }

        int at = (int)(_endOffset & (_ring.Length - 1));
        int first = Math.Min(bytes.Length, _ring.Length - at);
        bytes[..first].CopyTo(_ring.AsSpan(at));
        bytes[first..].CopyTo(_ring);
        _endOffset += bytes.Length;
    }

    private void Grow(int held, int needed)
    {
        int length = _ring.Length;
        while (length < needed)
        {
            length *= 2;
        }

        byte[] content = new byte[held];
        Check.That(TryPeek(_releasedOffset, content));
        _ring = new byte[length];
        _endOffset = _releasedOffset;
        Hold(content);
    }

    private void LetOut(long endOffset)
    {
        while (_releasedOffset < endOffset)
        {
            int at = (int)(_releasedOffset & (_ring.Length - 1));
            int count = (int)Math.Min(endOffset - _releasedOffset, _ring.Length - at);
            inner.Write(_ring.AsSpan(at, count));
            _releasedOffset += count;
        }
    }
}
