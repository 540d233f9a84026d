using System;
using System.Threading;

namespace Hypervisor.Backends.Network;

/// <summary>A cable that is plugged into nothing: frames that go are lost, none come.</summary>
/// <param name="hasOffloads">What the NIC is to offer its guest: the same as where its state comes from.</param>
/// <param name="queueCount">Number of queues, likewise.</param>
public sealed class UnpluggedBackend(bool hasOffloads, int queueCount) : INetworkBackend
{
    private readonly ManualResetEventSlim _isStopped = new(false);

    /// <inheritdoc/>
    public bool HasOffloads => hasOffloads;

    /// <inheritdoc/>
    public int QueueCount => queueCount;

    /// <inheritdoc/>
    public void Start()
    {
    }

    /// <inheritdoc/>
    public void Configure(NetworkOffloads offloads, int queueCount)
    {
    }

    /// <inheritdoc/>
    public int Receive(int queue, Span<byte> target)
    {
        _isStopped.Wait();
        return -1;
    }

    /// <inheritdoc/>
    public void Send(int queue, ReadOnlySpan<byte> frame)
    {
    }

    /// <inheritdoc/>
    public void Stop() => _isStopped.Set();

    /// <inheritdoc/>
    public void Dispose() => _isStopped.Dispose();
}
