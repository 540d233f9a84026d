namespace Hypervisor.Devices.Bus;

/// <summary>A range of ports on a <see cref="PortBus"/>.</summary>
public sealed class PortWindow : BusWindow
{
    internal PortWindow(PortBus bus, string name, int count, IPortDevice device, int accessBytesMax)
        : base(name, (ulong)count, ushort.MaxValue, accessBytesMax, bus.Rebuild) => Device = device;

    internal IPortDevice Device { get; }

    internal bool IsInside { get; set; }

    internal int FirstPort => (int)First;

    internal int EndPort => FirstPort + (int)Length;

    internal bool TakesWhole(int port, int sizeBytes) => sizeBytes <= AccessBytesMax && sizeBytes <= EndPort - port;
}
