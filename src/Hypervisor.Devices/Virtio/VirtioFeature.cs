namespace Hypervisor.Devices.Virtio;

/// <summary>Feature bits of the transport and the ring. Spec: VIRTIO 1.2, chapter 6.</summary>
public static class VirtioFeature
{
    /// <summary>A descriptor may point to a table of descriptors.</summary>
    public const ulong RingIndirectDescriptors = 1UL << 28;

    /// <summary>Each side says at which index it wants to hear from the other.</summary>
    public const ulong RingEventIndex = 1UL << 29;

    /// <summary>Not a legacy device.</summary>
    public const ulong Version1 = 1UL << 32;

    /// <summary>A queue can be reset alone.</summary>
    public const ulong RingReset = 1UL << 40;
}
