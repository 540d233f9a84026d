using System.Collections.Generic;
using Hypervisor.Core;
using Hypervisor.Devices.Bus;

namespace Hypervisor.TestKit;

/// <summary>
/// A guest's virtio-pci driver: finds a device by configuration space alone, and works it by its BARs.
/// </summary>
public sealed class VirtioPciDriver
{
    /// <summary>Feature bit VIRTIO_F_VERSION_1.</summary>
    public const ulong Version1 = 1UL << 32;

    private readonly PortBus _ports;
    private readonly MmioBus _mmio;
    private readonly int _slot;
    private readonly Dictionary<int, ulong> _structures = []; // by capability type
    private readonly uint _notifyMultiplier;

    /// <summary>Walks the capabilities of the function in <paramref name="slot"/>.</summary>
    public VirtioPciDriver(PortBus ports, MmioBus mmio, int slot)
    {
        _ports = ports;
        _mmio = mmio;
        _slot = slot;
        Check.That((ReadPci(0x06, 2) & 0x10) != 0);
        for (int at = (int)ReadPci(0x34, 1); at != 0; at = (int)ReadPci(at + 1, 1))
        {
            switch (ReadPci(at, 1))
            {
                case 0x11:
                    MsixCapability = at;
                    break;
                case 0x09:
                    int type = (int)ReadPci(at + 3, 1);
                    _structures[type] = type == 5
                        ? (ulong)at
                        : BarAddress((int)ReadPci(at + 4, 1)) + ReadPci(at + 8, 4);
                    _notifyMultiplier = type == 2 ? ReadPci(at + 16, 4) : _notifyMultiplier;
                    break;
            }
        }
    }

    /// <summary>Offset of the MSI-X capability.</summary>
    public int MsixCapability { get; }

    /// <summary>Offset of the capability that reaches BARs through configuration space.</summary>
    public int AccessCapability => (int)_structures[5];

    /// <summary>Address of the MSI-X table.</summary>
    public ulong MsixAddress
        => BarAddress((int)ReadPci(MsixCapability + 4, 4) & 7) + (ReadPci(MsixCapability + 4, 4) & ~7u);

    /// <summary>The device status field.</summary>
    public byte Status
    {
        get => (byte)ReadCommon(20, 1);
        set => WriteCommon(20, 1, value);
    }

    /// <summary>The device's features.</summary>
    public ulong DeviceFeatures
    {
        get
        {
            WriteCommon(0, 4, 0);
            ulong low = ReadCommon(4, 4);
            WriteCommon(0, 4, 1);
            return low | (ReadCommon(4, 4) << 32);
        }
    }

    /// <summary>Reads and thereby clears the ISR.</summary>
    public byte ReadIsr() => (byte)_mmio.Read(_structures[3], 1);

    /// <summary>Reads configuration space by mechanism 1.</summary>
    public uint ReadPci(int offset, int sizeBytes)
    {
        Select(offset);
        return _ports.Read((ushort)(0xCFC + (offset & 3)), sizeBytes);
    }

    /// <summary>Writes configuration space by mechanism 1.</summary>
    public void WritePci(int offset, int sizeBytes, uint value)
    {
        Select(offset);
        _ports.Write((ushort)(0xCFC + (offset & 3)), sizeBytes, value);
    }

    /// <summary>The address that a memory BAR holds.</summary>
    public ulong BarAddress(int index)
    {
        uint low = ReadPci(0x10 + (index * 4), 4);
        ulong high = (low & 6) == 4 ? ReadPci(0x14 + (index * 4), 4) : 0;
        return (low & ~0xFu) | (high << 32);
    }

    /// <summary>Reads the common configuration.</summary>
    public ulong ReadCommon(int offset, int sizeBytes) => _mmio.Read(_structures[1] + (ulong)offset, sizeBytes);

    /// <summary>Writes the common configuration.</summary>
    public void WriteCommon(int offset, int sizeBytes, ulong value)
        => _mmio.Write(_structures[1] + (ulong)offset, sizeBytes, value);

    /// <summary>Reads the device's configuration structure.</summary>
    public ulong ReadConfig(int offset, int sizeBytes) => _mmio.Read(_structures[4] + (ulong)offset, sizeBytes);

    /// <summary>Writes the device's configuration structure.</summary>
    public void WriteConfig(int offset, int sizeBytes, ulong value)
        => _mmio.Write(_structures[4] + (ulong)offset, sizeBytes, value);

    /// <summary>Reset, ACKNOWLEDGE, DRIVER, features, FEATURES_OK. False: the device does not agree.</summary>
    public bool Negotiate(ulong features)
    {
        Status = 0;
        Status = 1;
        Status = 3;
        WriteCommon(8, 4, 0);
        WriteCommon(12, 4, (uint)features);
        WriteCommon(8, 4, 1);
        WriteCommon(12, 4, features >> 32);
        Status = 3 | 8;
        return (Status & 8) != 0;
    }

    /// <summary>DRIVER_OK.</summary>
    public void Start() => Status = 3 | 8 | 4;

    /// <summary>Tells the device where a queue is, which vector it has, and enables it.</summary>
    public void SetUpQueue(int index, VirtqueueDriver queue, ushort vector)
    {
        WriteCommon(22, 2, (ulong)index);
        WriteCommon(24, 2, queue.Size);
        WriteCommon(26, 2, vector);
        WriteCommon(32, 8, queue.Descriptors); // wider than the device: arrives as two halves
        WriteCommon(40, 4, (uint)queue.Available);
        WriteCommon(44, 4, queue.Available >> 32);
        WriteCommon(48, 8, queue.Used);
        WriteCommon(28, 2, 1);
    }

    /// <summary>Notifies the device of a queue.</summary>
    public void Kick(int index)
    {
        WriteCommon(22, 2, (ulong)index);
        ulong offset = ReadCommon(30, 2) * _notifyMultiplier;
        _mmio.Write(_structures[2] + offset, 2, (ulong)index);
    }

    /// <summary>Sets an entry of the MSI-X table, not masked.</summary>
    public void SetVector(int vector, ulong address, uint data)
    {
        ulong entry = MsixAddress + (16UL * (ulong)vector);
        _mmio.Write(entry, 4, (uint)address);
        _mmio.Write(entry + 4, 4, address >> 32);
        _mmio.Write(entry + 8, 4, data);
        _mmio.Write(entry + 12, 4, 0);
    }

    /// <summary>Switches MSI-X on.</summary>
    public void EnableMsix() => WritePci(MsixCapability + 2, 2, 0x8000);

    private void Select(int offset)
        => _ports.Write(0xCF8, 4, 0x8000_0000u | ((uint)_slot << 11) | ((uint)offset & 0xFC));
}
