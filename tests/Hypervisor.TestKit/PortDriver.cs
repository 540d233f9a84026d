using System;
using Hypervisor.Devices.Bus;

namespace Hypervisor.TestKit;

/// <summary>IN and OUT as a guest's driver writes them, on a bus of its own.</summary>
public sealed class PortDriver
{
    /// <summary>The bus that the device under test is attached to.</summary>
    public PortBus Ports { get; } = new();

    /// <summary>Writes bytes to one port, one after the other.</summary>
    public void Out(ushort port, params ReadOnlySpan<byte> values)
    {
        foreach (byte value in values)
        {
            Ports.Write(port, 1, value);
        }
    }

    /// <summary>Writes a word.</summary>
    public void OutWord(ushort port, ushort value) => Ports.Write(port, 2, value);

    /// <summary>Writes a doubleword.</summary>
    public void OutDoubleword(ushort port, uint value) => Ports.Write(port, 4, value);

    /// <summary>Reads a byte.</summary>
    public byte In(ushort port) => (byte)Ports.Read(port, 1);

    /// <summary>Reads a word.</summary>
    public ushort InWord(ushort port) => (ushort)Ports.Read(port, 2);

    /// <summary>Reads a doubleword.</summary>
    public uint InDoubleword(ushort port) => Ports.Read(port, 4);
}
