namespace Hypervisor.Devices.Bus;

/// <summary>A device on the memory bus. Called with the bus lock held.</summary>
public interface IMmioDevice
{
    /// <summary>Reads <paramref name="sizeBytes"/> (1, 2, 4 or 8) at <paramref name="offset"/> from the device's
    /// first byte.</summary>
    ulong ReadMmio(ulong offset, int sizeBytes);

    /// <summary>Writes <paramref name="sizeBytes"/> (1, 2, 4 or 8) at <paramref name="offset"/> from the device's
    /// first byte.</summary>
    void WriteMmio(ulong offset, int sizeBytes, ulong value);
}
