namespace Hypervisor.Devices.Bus;

/// <summary>A range of a <see cref="MmioBus"/>; <see cref="BusWindow.First"/> is a GPA.</summary>
public sealed class MmioWindow : BusWindow
{
    internal MmioWindow(MmioBus bus, string name, ulong lengthBytes, IMmioDevice device, int accessBytesMax)
        : base(name, lengthBytes, ulong.MaxValue, accessBytesMax, bus.Rebuild) => Device = device;

    internal IMmioDevice Device { get; }
}
