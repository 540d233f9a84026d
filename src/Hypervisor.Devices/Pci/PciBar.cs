using System;
using System.Buffers.Binary;
using Hypervisor.Core;
using Hypervisor.Devices.Bus;

namespace Hypervisor.Devices.Pci;

/// <summary>One base address register: its size, its kind, and the window on a bus that it moves.</summary>
/// <remarks>
/// Its value lives in the configuration bytes. Spec: PCI Local Bus 3.0, 6.2.5.1:
/// <code>
/// memory: 31:4 base | 3 prefetchable | 2:1 type (00 32 bit, 10 64 bit, the next register is the upper half) | 0 = 0
/// I/O:    31:2 base | 1 = 0 | 0 = 1
/// </code>
/// </remarks>
internal sealed class PciBar
{
    private const uint IoKind = 1;
    private const uint Memory64Kind = 4;
    private const uint PrefetchableKind = 8;

    private readonly BusWindow _window;

    private PciBar(int offset, BusWindow window, bool is64Bit)
    {
        _window = window;
        Check.That(LengthBytes >= 16 || (IsIo && LengthBytes >= 4));
        Check.That((LengthBytes & (LengthBytes - 1)) == 0 && LengthBytes <= 1u << 31);
        Offset = offset;
        Is64Bit = is64Bit;
    }

    /// <summary>Where the register is in the configuration space.</summary>
    public int Offset { get; }

    /// <summary>Size of what it decodes; a power of two.</summary>
    public ulong LengthBytes => _window.Length;

    /// <summary>Whether it decodes I/O ports.</summary>
    public bool IsIo => _window is PortWindow;

    /// <summary>Whether the next register is its upper half.</summary>
    public bool Is64Bit { get; }

    /// <summary>Makes a 64-bit prefetchable memory BAR, or a 32-bit one.</summary>
    public static PciBar ForMemory(int offset, MmioWindow window, bool is64Bit)
        => new(offset, window, is64Bit);

    /// <summary>Makes an I/O BAR.</summary>
    public static PciBar ForPorts(int offset, PortWindow window) => new(offset, window, is64Bit: false);

    /// <summary>
    /// Writes its kind into the configuration bytes, and which bits the guest may change into the mask.
    /// </summary>
    public void Define(byte[] config, byte[] writable)
    {
        uint kind = IsIo ? IoKind : Is64Bit ? Memory64Kind | PrefetchableKind : 0;
        BinaryPrimitives.WriteUInt32LittleEndian(config.AsSpan(Offset), kind);
        BinaryPrimitives.WriteUInt32LittleEndian(writable.AsSpan(Offset), (uint)~(LengthBytes - 1));
        if (Is64Bit)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(writable.AsSpan(Offset + 4), uint.MaxValue);
        }
    }

    /// <summary>The base address that the guest wrote.</summary>
    public ulong Base(byte[] config)
    {
        ulong low = BinaryPrimitives.ReadUInt32LittleEndian(config.AsSpan(Offset)) & ~(LengthBytes - 1);
        return Is64Bit ? low | ((ulong)BinaryPrimitives.ReadUInt32LittleEndian(config.AsSpan(Offset + 4)) << 32) : low;
    }

    /// <summary>Stores a base address, as firmware does.</summary>
    public void Place(byte[] config, ulong address)
    {
        Check.That((address & (LengthBytes - 1)) == 0);
        uint kind = BinaryPrimitives.ReadUInt32LittleEndian(config.AsSpan(Offset)) & (uint)(LengthBytes - 1) & 0xF;
        BinaryPrimitives.WriteUInt32LittleEndian(config.AsSpan(Offset), (uint)address | kind);
        if (Is64Bit)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(config.AsSpan(Offset + 4), (uint)(address >> 32));
        }
    }

    /// <summary>Puts the window where the register says, or takes it off the bus.</summary>
    /// <remarks>
    /// Not decoded, as in QEMU: address 0, and an end beyond the space, which is how a BAR looks while it is sized.
    /// </remarks>
    public void Decode(byte[] config, bool isEnabled)
    {
        ulong first = Base(config);
        ulong last = first + (LengthBytes - 1);
        ulong limit = IsIo ? ushort.MaxValue : Is64Bit ? ulong.MaxValue : uint.MaxValue;
        bool isPlaced = isEnabled && first != 0 && last >= first && last < limit;
        if (isPlaced)
        {
            _window.Map(first);
        }
        else
        {
            _window.Unmap();
        }
    }
}
