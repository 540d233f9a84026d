using Hypervisor.Core;

namespace Hypervisor.Devices.Bus;

/// <summary>A range of a <see cref="MmioBus"/> that the guest may place, move and remove: a PCI memory BAR.</summary>
public sealed class MmioWindow
{
    private readonly MmioBus _bus;
    private readonly string _name;

    internal MmioWindow(MmioBus bus, string name, ulong lengthBytes, IMmioDevice device, int accessBytesMax)
    {
        _bus = bus;
        _name = name;
        LengthBytes = lengthBytes;
        Device = device;
        AccessBytesMax = accessBytesMax;
    }

    /// <summary>Size in bytes.</summary>
    public ulong LengthBytes { get; }

    /// <summary>Where it starts, while <see cref="IsMapped"/>.</summary>
    public ulong Gpa { get; private set; }

    /// <summary>Whether the bus decodes it.</summary>
    public bool IsMapped { get; private set; }

    internal IMmioDevice Device { get; }

    internal int AccessBytesMax { get; }

    internal bool IsFixed { get; private set; }

    internal ulong LastGpa => Gpa + (LengthBytes - 1);

    /// <summary>Places or moves it. A place that wraps past the last address is no place.</summary>
    public void Map(ulong gpa)
    {
        Check.That(!IsFixed);
        if (LengthBytes - 1 > ulong.MaxValue - gpa)
        {
            Unmap();
        }
        else if (!IsMapped || gpa != Gpa)
        {
            Place(gpa, isFixed: false);
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
    public override string ToString() => $"{_name} ({Gpa:X}-{LastGpa:X})";

    internal void Place(ulong gpa, bool isFixed)
    {
        Gpa = gpa;
        IsFixed = isFixed;
        IsMapped = true;
    }

    internal bool Overlaps(MmioWindow other) => Gpa <= other.LastGpa && other.Gpa <= LastGpa;
}
