using System.Threading;
using Hypervisor.Cpu;
using Hypervisor.Devices.Bus;

namespace Hypervisor.Machine;

/// <summary>What vCPUs reach outside RAM: the buses, under the bus lock.</summary>
internal sealed class MachineBus(Lock busLock, MmioBus mmio, PortBus ports) : IBus
{
    /// <inheritdoc/>
    public ulong ReadMmio(ulong gpa, int sizeBytes)
    {
        lock (busLock)
        {
            return mmio.Read(gpa, sizeBytes);
        }
    }

    /// <inheritdoc/>
    public void WriteMmio(ulong gpa, int sizeBytes, ulong value)
    {
        lock (busLock)
        {
            mmio.Write(gpa, sizeBytes, value);
        }
    }

    /// <inheritdoc/>
    public uint ReadPort(ushort port, int sizeBytes)
    {
        lock (busLock)
        {
            return ports.Read(port, sizeBytes);
        }
    }

    /// <inheritdoc/>
    public void WritePort(ushort port, int sizeBytes, uint value)
    {
        lock (busLock)
        {
            ports.Write(port, sizeBytes, value);
        }
    }

    /// <inheritdoc/>
    public void Synchronize()
    {
        lock (busLock)
        {
            // Whoever did DMA held the lock from its mark to its last store.
        }
    }
}
