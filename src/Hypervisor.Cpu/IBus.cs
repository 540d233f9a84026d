namespace Hypervisor.Cpu;

/// <summary>The vCPU's way to everything that is not RAM. The implementation takes the bus lock.</summary>
public interface IBus
{
    /// <summary>Reads <paramref name="sizeBytes"/> (1, 2, 4 or 8) of MMIO; nothing there reads as all ones.</summary>
    ulong ReadMmio(ulong gpa, int sizeBytes);

    /// <summary>Writes <paramref name="sizeBytes"/> (1, 2, 4 or 8) of MMIO; nothing there drops it.</summary>
    void WriteMmio(ulong gpa, int sizeBytes, ulong value);

    /// <summary>Reads <paramref name="sizeBytes"/> (1, 2 or 4) of port space; nothing there reads as all
    /// ones.</summary>
    uint ReadPort(ushort port, int sizeBytes);

    /// <summary>Writes <paramref name="sizeBytes"/> (1, 2 or 4) of port space; nothing there drops it.</summary>
    void WritePort(ushort port, int sizeBytes, uint value);

    /// <summary>Returns once no device is in the middle of a DMA store: its decoded code can be dropped.</summary>
    void Synchronize();
}
