using System;
using Hypervisor.Core;

namespace Hypervisor.Devices.Bus;

/// <summary>A range of a bus: fixed at build time, or placed, moved and removed by the guest as a PCI BAR.</summary>
public abstract class BusWindow
{
    private readonly string _name;
    private readonly ulong _lastOfBus;
    private readonly Action _rebuild;

    // Rebuild: the bus looks at where its ranges are again.
    private protected BusWindow(string name, ulong length, ulong lastOfBus, int accessBytesMax, Action rebuild)
    {
        _name = name;
        _lastOfBus = lastOfBus;
        _rebuild = rebuild;
        Length = length;
        AccessBytesMax = accessBytesMax;
    }

    /// <summary>Number of addresses: bytes or ports.</summary>
    public ulong Length { get; }

    /// <summary>Where it starts, while <see cref="IsMapped"/>.</summary>
    public ulong First { get; private set; }

    /// <summary>Whether the bus decodes it.</summary>
    public bool IsMapped { get; private set; }

    internal int AccessBytesMax { get; }

    internal bool IsFixed { get; private set; }

    internal ulong Last => First + (Length - 1);

    /// <summary>Places or moves it. A place past the last address of the bus is no place.</summary>
    public void Map(ulong first)
    {
        Check.That(!IsFixed);
        if (first > _lastOfBus || Length - 1 > _lastOfBus - first)
        {
            Unmap();
        }
        else if (!IsMapped || first != First)
        {
            Place(first, isFixed: false);
            _rebuild();
        }
    }

    /// <summary>Takes it off the bus.</summary>
    public void Unmap()
    {
        Check.That(!IsFixed);
        if (IsMapped)
        {
            IsMapped = false;
            _rebuild();
        }
    }

    /// <inheritdoc/>
    public override string ToString() => $"{_name} ({First:X}-{Last:X})";

    internal void Place(ulong first, bool isFixed)
    {
        First = first;
        IsFixed = isFixed;
        IsMapped = true;
    }

    internal bool Overlaps(BusWindow other) => First <= other.Last && other.First <= Last;
}
