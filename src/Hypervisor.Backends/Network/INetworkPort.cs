using System;

namespace Hypervisor.Backends.Network;

/// <summary>A NIC's way to its backend. Frames have a header (<see cref="VnetHeader"/>) before them.</summary>
/// <remarks>The NIC calls it with the bus lock held; nothing here blocks.</remarks>
public interface INetworkPort : IDisposable
{
    /// <summary>Whether frames with work left to do may come from it. Such frames may be sent in any case.</summary>
    bool HasOffloads { get; }

    /// <summary>Number of queues.</summary>
    int QueueCount { get; }

    /// <summary>Called when a frame came in a queue. Any thread; set once, before <see cref="Start"/>.</summary>
    Action<int>? OnReceived { get; set; }

    /// <summary>Called when frames may be sent again after a refusal. Any thread; set once.</summary>
    Action? OnRoom { get; set; }

    /// <summary>Begins to carry frames.</summary>
    void Start();

    /// <summary>Says what the guest can do itself in frames that come, and how many queues it uses.</summary>
    void Configure(NetworkOffloads offloads, int queueCount);

    /// <summary>Sends a frame. False: there is no room now, and <see cref="OnRoom"/> will be called.</summary>
    bool TrySend(int queue, ReadOnlySpan<byte> frame);

    /// <summary>The oldest frame that came; valid until it is removed. False: none waits.</summary>
    bool TryPeek(int queue, out ReadOnlySpan<byte> frame);

    /// <summary>Removes the oldest frame that came.</summary>
    void Remove(int queue);
}
