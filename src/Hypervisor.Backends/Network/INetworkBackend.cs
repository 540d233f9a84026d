using System;

namespace Hypervisor.Backends.Network;

/// <summary>What a NIC's cable is plugged into. Frames have a header (<see cref="VnetHeader"/>) before them.</summary>
public interface INetworkBackend : IDisposable
{
    /// <summary>
    /// Whether the headers are understood outside: frames with work left to do may come and go. Otherwise headers that
    /// come are zero, and frames that go are ready for the wire.
    /// </summary>
    bool HasOffloads { get; }

    /// <summary>Number of queues.</summary>
    int QueueCount { get; }

    /// <summary>Opens the way: frames that came before are gone. Called once, before any frame is asked for.</summary>
    void Start();

    /// <summary>Says what may be left to do in frames that come, and how many queues are in use.</summary>
    /// <param name="offloads">What the guest can do.</param>
    /// <param name="queueCount">Queues in use, from the first.</param>
    void Configure(NetworkOffloads offloads, int queueCount);

    /// <summary>Waits for a frame. One thread per queue.</summary>
    /// <returns>Bytes with the header; 0 when there was none after all; -1 once it was stopped.</returns>
    int Receive(int queue, Span<byte> target);

    /// <summary>Sends a frame with its header; what cannot be sent is lost. One thread; may block.</summary>
    void Send(int queue, ReadOnlySpan<byte> frame);

    /// <summary>Wakes the threads that wait, for good.</summary>
    void Stop();
}
