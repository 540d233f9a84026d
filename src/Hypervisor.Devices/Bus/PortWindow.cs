using Hypervisor.Core;

namespace Hypervisor.Devices.Bus;

/// <summary>
/// A range of ports on a <see cref="PortBus"/> that the guest may place, move and remove: a PCI I/O BAR.
/// </summary>
public sealed class PortWindow
{
    private readonly PortBus _bus;
    private readonly string _name;

    internal PortWindow(PortBus bus, string name, int count, IPortDevice device, int accessBytesMax)
    {
        _bus = bus;
        _name = name;
        Count = count;
        Device = device;
        AccessBytesMax = accessBytesMax;
    }

    /// <summary>Number of ports.</summary>
    public int Count { get; }

    /// <summary>Where it starts, while <see cref="IsMapped"/>.</summary>
    public int FirstPort { get; private set; }

    /// <summary>Whether the bus decodes it.</summary>
    public bool IsMapped { get; private set; }

    internal IPortDevice Device { get; }

    internal int AccessBytesMax { get; }

    internal bool IsFixed { get; private set; }

    internal bool IsInside { get; set; }

    /// <summary>Places or moves it. A place past the last port is no place.</summary>
    public void Map(uint firstPort)
    {
        Check.That(!IsFixed);
        if (firstPort > ushort.MaxValue || Count > ushort.MaxValue + 1 - (int)firstPort)
        {
            Unmap();
        }
        else if (!IsMapped || firstPort != FirstPort)
        {
            Place((int)firstPort, isFixed: false);
            _bus.Rebuild();
        }
    }

    /// <summary>Takes it off the bus.</summary>
    public void Unmap()
    {
        Check.That(!IsFixed);
        if (IsMapped)
        {
            IsMapped = false;
            _bus.Rebuild();
        }
    }

    /// <inheritdoc/>
    public override string ToString() => $"{_name} ({FirstPort:X}-{FirstPort + Count - 1:X})";

    internal void Place(int firstPort, bool isFixed)
    {
        FirstPort = firstPort;
        IsFixed = isFixed;
        IsMapped = true;
    }

    internal bool TakesWhole(int port, int sizeBytes)
        => sizeBytes <= AccessBytesMax && sizeBytes <= FirstPort + Count - port;

    internal bool Overlaps(PortWindow other)
        => FirstPort < other.FirstPort + other.Count && other.FirstPort < FirstPort + Count;
}
