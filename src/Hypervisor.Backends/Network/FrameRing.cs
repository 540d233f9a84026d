using System;
using System.Buffers.Binary;
using Hypervisor.Core;

namespace Hypervisor.Backends.Network;

/// <summary>
/// A bounded queue of frames in one array, each with a number of its sender's choice. No thread safety.
/// </summary>
/// <remarks>
/// Records: length i32 (-1: the next record is at the start of the array) | number i32 | frame, padded to 8 bytes.
/// Frames are counted from 0 for the whole life of the queue.
/// </remarks>
internal sealed class FrameRing
{
    private const int FirstBytes = 64 << 10;
    private const int HeaderBytes = 8, Alignment = 8;

    private readonly int _bytesMax;
    private byte[] _bytes;
    private int _head;
    private int _tail;
    private int _usedBytes;

    /// <summary>Makes an empty queue that grows to so many bytes; a power of two of at least 64 KiB.</summary>
    public FrameRing(int bytesMax)
    {
        Check.That(bytesMax >= FirstBytes && (bytesMax & (bytesMax - 1)) == 0);
        _bytesMax = bytesMax;
        _bytes = new byte[FirstBytes];
    }

    /// <summary>Count of the frames that were removed so far: the first frame's place in the queue's life.</summary>
    public long First { get; private set; }

    /// <summary>Count of the frames that were added so far.</summary>
    public long End { get; private set; }

    /// <summary>Bytes in use, with what it takes to keep them.</summary>
    public int UsedBytes => _usedBytes;

    /// <summary>Appends a frame. False when there is no room.</summary>
    public bool TryAdd(int number, ReadOnlySpan<byte> frame)
    {
        int needed = HeaderBytes + ((frame.Length + Alignment - 1) & -Alignment);
        while (!TryPlace(needed))
        {
            if (_bytes.Length == _bytesMax)
            {
                return false;
            }

            Grow();
        }

        Span<byte> record = _bytes.AsSpan(_tail, needed);
        BinaryPrimitives.WriteInt32LittleEndian(record, frame.Length);
        BinaryPrimitives.WriteInt32LittleEndian(record[4..], number);
        frame.CopyTo(record[HeaderBytes..]);
        _tail += needed;
        _usedBytes += needed;
        End++;
        return true;
    }

    /// <summary>The oldest frame; there must be one.</summary>
    public ReadOnlySpan<byte> Peek(out int number)
    {
        Check.That(First < End);
        SkipToRecord();
        int length = BinaryPrimitives.ReadInt32LittleEndian(_bytes.AsSpan(_head));
        number = BinaryPrimitives.ReadInt32LittleEndian(_bytes.AsSpan(_head + 4));
        return _bytes.AsSpan(_head + HeaderBytes, length);
    }

    /// <summary>Removes the oldest frame.</summary>
    public void Remove()
    {
        int needed = HeaderBytes + ((Peek(out _).Length + Alignment - 1) & -Alignment);
        _head += needed;
        _usedBytes -= needed;
        First++;
    }

    /// <summary>Removes all frames.</summary>
    public void Clear()
    {
        First = End;
        _head = _tail = _usedBytes = 0;
    }

    // Makes _tail the place for a record of so many bytes.
    private bool TryPlace(int needed)
    {
        if (_usedBytes == 0)
        {
            _head = _tail = 0;
        }

        bool isWrapped = _tail < _head || (_tail == _head && _usedBytes != 0);
        if (isWrapped)
        {
            return needed <= _head - _tail;
        }

        int rest = _bytes.Length - _tail;
        if (needed <= rest)
        {
            return true;
        }

        if (needed > _head)
        {
            return false;
        }

        if (rest != 0)
        {
            BinaryPrimitives.WriteInt32LittleEndian(_bytes.AsSpan(_tail), -1);
            _usedBytes += rest;
        }

        _tail = 0;
        return true;
    }

    private void SkipToRecord()
    {
        if (_head == _bytes.Length)
        {
            _head = 0;
        }
        else if (BinaryPrimitives.ReadInt32LittleEndian(_bytes.AsSpan(_head)) < 0)
        {
            _usedBytes -= _bytes.Length - _head;
            _head = 0;
        }
    }

    private void Grow()
    {
        var larger = new FrameRing(_bytesMax) { _bytes = new byte[_bytes.Length * 2] };
        for (long left = End - First; left > 0; left--)
        {
            ReadOnlySpan<byte> frame = Peek(out int number);
            Check.That(larger.TryAdd(number, frame));
            Remove();
            First--; // it was moved, not removed
        }

        (_bytes, _head, _tail, _usedBytes) = (larger._bytes, larger._head, larger._tail, larger._usedBytes);
    }
}
