namespace Hypervisor.Devices.Bus;

/// <summary>A device on the I/O port bus. Called with the bus lock held.</summary>
public interface IPortDevice
{
    /// <summary>Reads <paramref name="sizeBytes"/> (1, 2 or 4) at <paramref name="offset"/> from the device's first
    /// port.</summary>
    uint ReadPort(int offset, int sizeBytes);

    /// <summary>Writes <paramref name="sizeBytes"/> (1, 2 or 4) at <paramref name="offset"/> from the device's first
    /// port.</summary>
    void WritePort(int offset, int sizeBytes, uint value);
}
