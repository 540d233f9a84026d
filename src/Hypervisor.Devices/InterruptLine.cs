using System;

namespace Hypervisor.Devices;

/// <summary>A level-triggered wire from one device to the interrupt controllers.</summary>
public readonly struct InterruptLine(int gsi, Action<int, bool> controller)
{
    /// <summary>Drives the wire high or low. Setting the level it already has does nothing.</summary>
    public void Set(bool high) => controller(gsi, high);
}
