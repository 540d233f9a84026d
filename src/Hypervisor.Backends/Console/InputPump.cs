using System;
using System.Threading.Tasks;

namespace Hypervisor.Backends.Console;

/// <summary>Offers input to a receiver until it took all of it; a serial line takes few bytes at a time.</summary>
public sealed class InputPump
{
    private const int OfferAgainMillis = 2; // 16 bytes of FIFO each time: 8 kB/s, more than anybody types or pastes

    // Not an event: the thread that waits may outlive the stream, and an event would have to be disposed of under it.
    private readonly TaskCompletionSource _ending = new();

    /// <summary>Offers all of <paramref name="bytes"/>; returns early after <see cref="Stop"/>.</summary>
    public void Deliver(Func<ReadOnlyMemory<byte>, int>? receiver, ReadOnlyMemory<byte> bytes)
    {
        while (receiver is not null && !bytes.IsEmpty && !_ending.Task.IsCompleted)
        {
            bytes = bytes[receiver(bytes)..];
            if (!bytes.IsEmpty)
            {
                _ending.Task.Wait(OfferAgainMillis);
            }
        }
    }

    /// <summary>Ends deliveries, also one that waits.</summary>
    public void Stop() => _ending.TrySetResult();
}
