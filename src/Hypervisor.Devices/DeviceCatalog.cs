using System;
using Hypervisor.Core;
using Hypervisor.Devices.Virtio;

namespace Hypervisor.Devices;

/// <summary>Every virtio device that a machine description can name.</summary>
public static class DeviceCatalog
{
    private static readonly Entry[] s_all =
    [
        new("virtio-blk-pci", NewDisk),
        new("virtio-net-pci", NewNic),
        new("virtio-serial-pci", NewConsole),
        new("virtio-balloon-pci",
            (context, settings) => new VirtioBalloon(context, settings.Instance, settings.BalloonOptions)),
        new("virtio-rng-pci", (context, settings) => new VirtioRng(context, settings.Instance)),
    ];

    /// <summary>All entries, in the order in which help texts list them.</summary>
    public static ReadOnlySpan<Entry> All => s_all;

    private static VirtioBlk NewDisk(DeviceContext context, VirtioSettings settings)
    {
        Check.That(settings.Disk is not null);
        return new VirtioBlk(context, settings.Instance, settings.Disk, settings.DiskOptions);
    }

    private static VirtioConsole NewConsole(DeviceContext context, VirtioSettings settings)
    {
        Check.That(settings.Stream is not null);
        return new VirtioConsole(context, settings.Instance, settings.Stream);
    }

    private static VirtioNet NewNic(DeviceContext context, VirtioSettings settings)
    {
        Check.That(settings.Port is not null);
        return new VirtioNet(context, settings.Instance, settings.Port, settings.NicOptions);
    }

    /// <summary>A kind of device.</summary>
    /// <param name="Name">QEMU's name for it.</param>
    /// <param name="Create">Makes one.</param>
    public sealed record Entry(string Name, Func<DeviceContext, VirtioSettings, VirtioDevice> Create);
}
