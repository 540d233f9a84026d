using System;
using Hypervisor.Core.Host;

namespace Hypervisor.Backends.Network;

/// <summary>A TAP interface of this host.</summary>
public sealed class TapBackend : INetworkBackend
{
    private const int StaleFramesMax = 4096; // the kernel keeps fewer; more would be new ones

    private readonly HostTap[] _queues;

    /// <summary>Opens the interface, or makes it.</summary>
    /// <exception cref="HostException">It cannot be had; the message names it and says why.</exception>
    public TapBackend(string name, int queueCount)
    {
        _queues = HostTap.Open(name, queueCount);
        Configure(NetworkOffloads.None, 1);
    }

    /// <inheritdoc/>
    public bool HasOffloads => true;

    /// <inheritdoc/>
    public int QueueCount => _queues.Length;

    /// <inheritdoc/>
    public void Start()
    {
        byte[] stale = new byte[NetworkPort.FrameBytesMax];
        foreach (HostTap queue in _queues)
        {
            for (int i = 0; i < StaleFramesMax && queue.TryRead(stale) >= 0; i++)
            {
                // Came while nobody was there: a standby waits for days.
            }
        }
    }

    /// <inheritdoc/>
    public void Configure(NetworkOffloads offloads, int queueCount)
    {
        _queues[0].SetOffloads((uint)offloads); // of the whole interface
        for (int i = 1; i < _queues.Length; i++)
        {
            _queues[i].SetInUse(i < queueCount);
        }
    }

    /// <inheritdoc/>
    public int Receive(int queue, Span<byte> target) => _queues[queue].Read(target);

    /// <inheritdoc/>
    public void Send(int queue, ReadOnlySpan<byte> frame) => _queues[queue].Write(frame);

    /// <inheritdoc/>
    public void Stop() => Array.ForEach(_queues, queue => queue.Stop());

    /// <inheritdoc/>
    public void Dispose() => Array.ForEach(_queues, queue => queue.Dispose());
}
