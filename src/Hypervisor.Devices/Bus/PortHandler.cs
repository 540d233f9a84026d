using System;

namespace Hypervisor.Devices.Bus;

/// <summary>Byte-wide ports answered by two methods of a device: for devices with several ranges.</summary>
internal sealed class PortHandler(Func<int, byte> read, Action<int, byte> write) : IPortDevice
{
    public uint ReadPort(int offset, int sizeBytes) => read(offset);

    public void WritePort(int offset, int sizeBytes, uint value) => write(offset, (byte)value);
}
