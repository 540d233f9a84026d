using System;
using System.Collections.Generic;
using System.Threading;

namespace Hypervisor.Replication.Link;

/// <summary>
/// Buffers for received payloads: those of chunk size are used again, others are as large as they must be.
/// </summary>
/// <remarks>How many are in use is bounded by what the standby's core stages.</remarks>
internal sealed class ReceivePool
{
    /// <summary>What senders fill their chunks to, fields included.</summary>
    public const int PooledBytes = 64 << 10;

    private const int SmallBytesMax = 8 << 10;
    private const int IdleMax = 256; // 16 MiB

    private readonly Lock _lock = new(); // protects _idle
    private readonly Stack<byte[]> _idle = new();

    /// <summary>A buffer of exactly <paramref name="lengthBytes"/>.</summary>
    public ReceiveBuffer Rent(int lengthBytes)
    {
        if (lengthBytes is <= SmallBytesMax or > PooledBytes)
        {
            return new ReceiveBuffer(null, new byte[lengthBytes], lengthBytes);
        }

        byte[]? bytes;
        lock (_lock)
        {
            _ = _idle.TryPop(out bytes);
        }

        return new ReceiveBuffer(this, bytes ?? GC.AllocateUninitializedArray<byte>(PooledBytes), lengthBytes);
    }

    internal void Return(byte[] bytes)
    {
        lock (_lock)
        {
            if (_idle.Count < IdleMax)
            {
                _idle.Push(bytes);
            }
        }
    }
}

/// <summary>A received payload; disposing it gives the buffer back.</summary>
internal sealed class ReceiveBuffer(ReceivePool? pool, byte[] bytes, int lengthBytes) : IDisposable
{
    private int _isReturned;

    /// <summary>The payload.</summary>
    public Memory<byte> Memory => bytes.AsMemory(0, lengthBytes);

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _isReturned, 1) == 0) // twice would hand one buffer to two messages
        {
            pool?.Return(bytes);
        }
    }
}
