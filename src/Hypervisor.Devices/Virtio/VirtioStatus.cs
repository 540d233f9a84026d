using System;

namespace Hypervisor.Devices.Virtio;

/// <summary>The device status field. Spec: VIRTIO 1.2, section 2.1.</summary>
[Flags]
public enum VirtioStatus : byte
{
    /// <summary>After reset.</summary>
    None = 0,

    /// <summary>The guest noticed the device.</summary>
    Acknowledge = 1,

    /// <summary>The guest has a driver for it.</summary>
    Driver = 2,

    /// <summary>The driver is ready: queues may be used.</summary>
    DriverOk = 4,

    /// <summary>Both sides agree on the features.</summary>
    FeaturesOk = 8,

    /// <summary>The device met something that it can't go on from.</summary>
    NeedsReset = 64,

    /// <summary>The driver gave up.</summary>
    Failed = 128,
}
