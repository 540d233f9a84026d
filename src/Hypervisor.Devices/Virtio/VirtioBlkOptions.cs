namespace Hypervisor.Devices.Virtio;

/// <summary>How a virtio disk presents itself.</summary>
public sealed record VirtioBlkOptions
{
    /// <summary>Serial number, ASCII; the first 20 characters reach the guest.</summary>
    public string Serial { get; init; } = "";

    /// <summary>Number of queues.</summary>
    public int QueueCount { get; init; } = 1;

    /// <summary>Whether writes are cached until a flush, which is what the guest is told at first.</summary>
    public bool IsWriteback { get; init; } = true;
}
