using System;
using Hypervisor.Devices.Bus;

namespace Hypervisor.Devices.Chipset;

/// <summary>QEMU's isa-debug-exit: a write of v ends the run with exit code (v &lt;&lt; 1) | 1.</summary>
/// <param name="onExit">Given the exit code, bus lock held.</param>
public sealed class DebugExit(Action<int> onExit) : IPortDevice
{
    /// <summary>Where QEMU has it unless told otherwise.</summary>
    public const ushort DefaultPort = 0x501;

    private const int PortCount = 4; // takes a doubleword whole

    /// <summary>Claims its ports.</summary>
    public void Attach(PortBus ports, ushort firstPort = DefaultPort)
        => ports.Register("debug exit", firstPort, PortCount, this, accessBytesMax: 4);

    /// <inheritdoc/>
    public uint ReadPort(int offset, int sizeBytes) => 0;

    /// <inheritdoc/>
    public void WritePort(int offset, int sizeBytes, uint value) => onExit((int)((value << 1) | 1));
}
