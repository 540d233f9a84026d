using Hypervisor.Backends.Block;
using Hypervisor.Backends.Console;
using Hypervisor.Backends.Network;
using Hypervisor.Devices.Virtio;

namespace Hypervisor.Devices;

/// <summary>What a machine description says of one virtio device; each kind takes what concerns it.</summary>
/// <param name="Instance">Which one of its kind, from 0.</param>
public sealed record VirtioSettings(ushort Instance)
{
    /// <summary>The disk behind a virtio-blk.</summary>
    public IBlockDevice? Disk { get; init; }

    /// <summary>How that disk presents itself.</summary>
    public VirtioBlkOptions DiskOptions { get; init; } = new();

    /// <summary>The host's end of a virtio console.</summary>
    public IByteStream? Stream { get; init; }

    /// <summary>Where a virtio-net sends to.</summary>
    public INetworkPort? Port { get; init; }

    /// <summary>How that NIC presents itself.</summary>
    public VirtioNetOptions NicOptions { get; init; } = new();

    /// <summary>What a balloon offers.</summary>
    public VirtioBalloonOptions BalloonOptions { get; init; } = new();
}
