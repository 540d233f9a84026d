using Hypervisor.Backends.Network;

namespace Hypervisor.Devices.Virtio;

/// <summary>How a virtio NIC presents itself.</summary>
public sealed record VirtioNetOptions
{
    /// <summary>Its address after a reset.</summary>
    public MacAddress Mac { get; init; } = new(0x5254_0012_3456);

    /// <summary>Largest packet, without its Ethernet header.</summary>
    public ushort MtuBytes { get; init; } = NetworkOptions.MtuBytesDefault;
}
