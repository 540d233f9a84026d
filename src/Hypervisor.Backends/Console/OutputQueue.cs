using System;
using System.Threading;

namespace Hypervisor.Backends.Console;

/// <summary>A bounded queue of bytes and the thread that brings them to a sink, in order.</summary>
/// <remarks>
/// The caller of <see cref="Write"/> may hold the bus lock, so it waits for a slow sink only once, for
/// <see cref="PatienceMillis"/>; then bytes that find no room are dropped, as on a wire that nobody listens to, until
/// half of the queue is free again. The sink throws or returns: what it throws of the outside world ends the queue.
/// </remarks>
public sealed class OutputQueue : IDisposable
{
    /// <summary>Bytes that may wait: minutes of a 115 200 baud line.</summary>
    public const int CapacityBytes = 1 << 20;

    /// <summary>How long one write waits for room, and <see cref="Dispose"/> for the sink to take the rest.</summary>
    public const int PatienceMillis = 1000;

    private const int ChunkBytes = 16 * 1024;

    private readonly ByteSink _sink;
    private readonly Thread _thread;
    private readonly byte[] _ring = new byte[CapacityBytes];
    private readonly AutoResetEvent _hasWork = new(false);
    private readonly AutoResetEvent _hasRoom = new(false);
    private readonly ManualResetEventSlim _isDone = new(false);

    // Protects the fields below; taken after the bus lock, and nothing is called while it is held.
    private readonly Lock _lock = new();
    private int _head;
    private int _count;
    private bool _isStuck;
    private bool _isEnding;
    private long _droppedBytes;

    private bool _isDisposed; // the owner's thread only

    /// <summary>Starts the thread.</summary>
    /// <param name="name">Of the thread.</param>
    /// <param name="sink">Takes the bytes on the queue's thread; may block.</param>
    public OutputQueue(string name, ByteSink sink)
    {
        _sink = sink;
        _thread = new Thread(Run) { Name = name, IsBackground = true };
        _thread.Start();
    }

    /// <summary>Where the bytes go. Returns false when the sink is gone for good.</summary>
    public delegate bool ByteSink(ReadOnlySpan<byte> bytes);

    /// <summary>Bytes that found no room, or no sink.</summary>
    public long DroppedBytes => Volatile.Read(ref _droppedBytes); // pairs with the writes under the lock

    /// <summary>Queues <paramref name="bytes"/>. Any thread; order is kept per thread.</summary>
    public void Write(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            int taken = Take(bytes);
            bytes = bytes[taken..];
            if (taken == 0 && !_hasRoom.WaitOne(PatienceMillis))
            {
                DeclareStuck();
            }
        }
    }

    /// <summary>Lets the sink take what is queued, within reason, and ends the thread.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _isEnding = true;
        }

        if (_isDisposed)
        {
            return;
        }

        _isDisposed = true;
        _hasWork.Set();
        if (_isDone.Wait(PatienceMillis))
        {
            _thread.Join();
            _hasWork.Dispose();
            _hasRoom.Dispose();
            _isDone.Dispose();
        }
    }

    /// <summary>Takes what fits; everything when the rest is to be dropped.</summary>
    private int Take(ReadOnlySpan<byte> bytes)
    {
        lock (_lock)
        {
            if (_isEnding || _isStuck)
            {
                Volatile.Write(ref _droppedBytes, _droppedBytes + bytes.Length); // pairs with DroppedBytes
                return bytes.Length;
            }

            int length = Math.Min(bytes.Length, CapacityBytes - _count);
            int tail = (_head + _count) % CapacityBytes;
            int first = Math.Min(length, CapacityBytes - tail);
            bytes[..first].CopyTo(_ring.AsSpan(tail));
            bytes[first..length].CopyTo(_ring);
            _count += length;
            if (length > 0)
            {
                _hasWork.Set();
            }

            return length;
        }
    }

    private void DeclareStuck()
    {
        lock (_lock)
        {
            _isStuck = _count > CapacityBytes / 2;
        }
    }

    private void Run()
    {
        byte[] chunk = new byte[ChunkBytes];
        while (true)
        {
            int length = Peek(chunk, out bool isEnding);
            if (length > 0 && !_sink(chunk.AsSpan(0, length)))
            {
                GiveUp();
                break;
            }

            Remove(length);
            if (length == 0 && isEnding)
            {
                break;
            }

            if (length == 0)
            {
                _hasWork.WaitOne();
            }
        }

        _isDone.Set();
    }

    private int Peek(byte[] chunk, out bool isEnding)
    {
        lock (_lock)
        {
            isEnding = _isEnding;
            int length = Math.Min(Math.Min(_count, chunk.Length), CapacityBytes - _head);
            _ring.AsSpan(_head, length).CopyTo(chunk);
            return length;
        }
    }

    private void Remove(int length)
    {
        lock (_lock)
        {
            _head = (_head + length) % CapacityBytes;
            _count -= length;
            _isStuck &= _count > CapacityBytes / 2;
        }

        if (length > 0)
        {
            _hasRoom.Set();
        }
    }

    private void GiveUp()
    {
        lock (_lock)
        {
            _isEnding = true;
            Volatile.Write(ref _droppedBytes, _droppedBytes + _count); // pairs with DroppedBytes
            _count = 0;
        }

        _hasRoom.Set();
    }
}
