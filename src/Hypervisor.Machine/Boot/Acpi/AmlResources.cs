using System;
using System.Buffers.Binary;
using System.Collections.Generic;

namespace Hypervisor.Machine.Boot.Acpi;

/// <summary>Builds a resource template, the value of _CRS and _PRS.</summary>
/// <remarks>Spec: ACPI 6.4, section 6.4 "Resource Data Types for ACPI".</remarks>
internal sealed class AmlResources
{
    private const byte MemoryType = 0;
    private const byte IoType = 1;
    private const byte BusType = 2;
    private const byte FixedRange = 0x0C;       // minimum and maximum address fixed
    private const byte IoEntireRange = 0x03;
    private const byte MemoryReadWrite = 0x01;
    private const byte MemoryCacheable = 0x02;

    private readonly List<byte> _bytes = [];

    /// <summary>Ports, decoded with 16 bits.</summary>
    public AmlResources Io(ushort start, byte lengthPorts)
    {
        _bytes.AddRange([0x47, 1, (byte)start, (byte)(start >> 8), (byte)start, (byte)(start >> 8), 1, lengthPorts]);
        return this;
    }

    /// <summary>An edge-triggered, exclusive ISA interrupt.</summary>
    public AmlResources Irq(int irq)
    {
        ushort mask = (ushort)(1 << irq);
        _bytes.AddRange([0x22, (byte)mask, (byte)(mask >> 8)]);
        return this;
    }

    /// <summary>A level-triggered, active-high, shared interrupt: any of <paramref name="gsis"/>.</summary>
    public AmlResources Interrupts(params int[] gsis)
    {
        const byte ConsumerLevelHighShared = 0x09;
        Span<byte> number = stackalloc byte[sizeof(uint)];
        int lengthBytes = 2 + (gsis.Length * sizeof(uint));
        _bytes.AddRange([0x89, (byte)lengthBytes, (byte)(lengthBytes >> 8), ConsumerLevelHighShared, (byte)gsis.Length]);
        foreach (int gsi in gsis)
        {
            BinaryPrimitives.WriteInt32LittleEndian(number, gsi);
            _bytes.AddRange(number);
        }

        return this;
    }

    /// <summary>A fixed 32-bit memory range.</summary>
    public AmlResources Memory(uint start, uint lengthBytes)
    {
        Span<byte> item = stackalloc byte[12];
        item[0] = 0x86;
        item[1] = 9;
        item[3] = 1; // writable
        BinaryPrimitives.WriteUInt32LittleEndian(item[4..], start);
        BinaryPrimitives.WriteUInt32LittleEndian(item[8..], lengthBytes);
        _bytes.AddRange(item);
        return this;
    }

    /// <summary>Bus numbers that a bridge produces.</summary>
    public AmlResources BusWindow(byte first, byte last) => Window16(BusType, 0, first, last);

    /// <summary>Ports that a bridge forwards.</summary>
    public AmlResources IoWindow(ushort first, ushort last) => Window16(IoType, IoEntireRange, first, last);

    /// <summary>Memory that a bridge forwards.</summary>
    public AmlResources MemoryWindow(uint first, uint last, bool cacheable)
    {
        Span<byte> item = stackalloc byte[26];
        item[0] = 0x87;
        item[1] = 0x17;
        item[3] = MemoryType;
        item[4] = FixedRange;
        item[5] = cacheable ? (byte)(MemoryReadWrite | MemoryCacheable) : MemoryReadWrite;
        BinaryPrimitives.WriteUInt32LittleEndian(item[10..], first);
        BinaryPrimitives.WriteUInt32LittleEndian(item[14..], last);
        BinaryPrimitives.WriteUInt32LittleEndian(item[22..], last - first + 1);
        _bytes.AddRange(item);
        return this;
    }

    /// <summary>The template with its end tag.</summary>
    public byte[] ToArray() => [.. _bytes, 0x79, 0];

    private AmlResources Window16(byte type, byte typeFlags, ushort first, ushort last)
    {
        Span<byte> item = stackalloc byte[16];
        item[0] = 0x88;
        item[1] = 0x0D;
        item[3] = type;
        item[4] = FixedRange;
        item[5] = typeFlags;
        BinaryPrimitives.WriteUInt16LittleEndian(item[8..], first);
        BinaryPrimitives.WriteUInt16LittleEndian(item[10..], last);
        BinaryPrimitives.WriteUInt16LittleEndian(item[14..], (ushort)(last - first + 1));
        _bytes.AddRange(item);
        return this;
    }
}
