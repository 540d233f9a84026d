using System;
using System.Collections.Generic;
using System.Linq;
using Hypervisor.Backends.Network;

namespace Hypervisor.TestKit;

/// <summary>A NIC's port without threads: what is sent is kept, what comes is put in by the test.</summary>
public sealed class SimNetwork(int queueCount = 1) : INetworkPort
{
    private readonly Queue<byte[]>[] _waiting = [.. Enumerable.Range(0, queueCount).Select(_ => new Queue<byte[]>())];

    /// <inheritdoc/>
    public bool HasOffloads { get; init; } = true;

    /// <inheritdoc/>
    public int QueueCount => queueCount;

    /// <inheritdoc/>
    public Action<int>? OnReceived { get; set; }

    /// <inheritdoc/>
    public Action? OnRoom { get; set; }

    /// <summary>Frames that were sent, with their headers, by queue.</summary>
    public List<(int Queue, byte[] Frame)> Sent { get; } = [];

    /// <summary>Frames for which there is room.</summary>
    public int Room { get; set; } = int.MaxValue;

    /// <summary>What the NIC last asked for.</summary>
    public (NetworkOffloads Offloads, int QueueCount) Configuration { get; private set; }

    /// <summary>Lets a frame come; it has a header.</summary>
    public void Receive(ReadOnlySpan<byte> frame, int queue = 0)
    {
        _waiting[queue].Enqueue(frame.ToArray());
        OnReceived?.Invoke(queue);
    }

    /// <summary>Frames that came and were not taken.</summary>
    public int WaitingCount(int queue = 0) => _waiting[queue].Count;

    /// <inheritdoc/>
    public void Start()
    {
    }

    /// <inheritdoc/>
    public void Configure(NetworkOffloads offloads, int queueCount) => Configuration = (offloads, queueCount);

    /// <inheritdoc/>
    public bool TrySend(int queue, ReadOnlySpan<byte> frame)
    {
        if (Sent.Count >= Room)
        {
            return false;
        }

        Sent.Add((queue, frame.ToArray()));
        return true;
    }

    /// <inheritdoc/>
    public bool TryPeek(int queue, out ReadOnlySpan<byte> frame)
    {
        bool isThere = _waiting[queue].TryPeek(out byte[]? first);
        frame = first;
        return isThere;
    }

    /// <inheritdoc/>
    public void Remove(int queue) => _ = _waiting[queue].Dequeue();

    /// <inheritdoc/>
    public void Dispose()
    {
    }
}
