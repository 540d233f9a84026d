using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Hypervisor.Core.Memory;
using Hypervisor.Devices.Bus;
using Hypervisor.Firmware;

namespace Hypervisor.Machine.Boot;

/// <summary>INT 15h: memory sizes, A20, block move, configuration.</summary>
/// <remarks>Spec: ACPI 6.4, section 15.1 (E820h); IBM Personal System/2 BIOS Interface Technical Reference.</remarks>
internal sealed class FirmwareSystem(GuestRam ram, IReadOnlyList<MemoryRange> map, PortBus ports)
{
    private const byte Unsupported = 0x86;
    private const uint MapSignature = 0x534D_4150; // "SMAP"
    private const ushort ControlPort = 0x92;
    private const byte GateA20 = 0x02;
    private const long Kibibyte = 1 << 10;
    private const long Mebibyte = 1 << 20;

    /// <summary>Serves one INT 15h.</summary>
    public void Serve(FirmwareFrame frame)
    {
        switch (frame.Ax)
        {
            case 0xE820 when frame.Edx == MapSignature:
                MemoryMapEntry(frame);
                return;
            case 0xE801:
                Sizes(frame);
                return;
            case 0x2400 or 0x2401:
                SetA20(frame.Al == 1);
                frame.Finish(0);
                return;
            case 0x2402:
                frame.Finish(0);
                frame.Al = (ports.Read(ControlPort, 1) & GateA20) != 0 ? (byte)1 : (byte)0;
                return;
            case 0x2403:
                frame.Finish(0);
                frame.Bx = 2; // port 92h
                return;
            default:
                ServeByHigh(frame);
                return;
        }
    }

    private void ServeByHigh(FirmwareFrame frame)
    {
        switch (frame.Ah)
        {
            case 0x4F: // keyboard intercept: the scan code stays as it is
                frame.Carry = true;
                break;
            case 0x87:
                BlockMove(frame);
                break;
            case 0x88:
                frame.Ax = (ushort)Math.Min((ram.LowBytes - Mebibyte) / Kibibyte, 0xFC00); // 63 MiB at most
                frame.Carry = false;
                break;
            case 0xC0:
                frame.Es = FirmwareLayout.Segment;
                frame.Bx = FirmwareLayout.SystemConfiguration;
                frame.Finish(0);
                break;
            case 0xC1:
                frame.Es = FirmwareLayout.ExtendedDataSegment;
                frame.Carry = false;
                break;
            default:
                frame.Finish(Unsupported); // APM (53h) among others
                break;
        }
    }

    // EBX: which entry, 0 at first; ECX: room at ES:DI. Out: EBX the next one, 0 after the last.
    private void MemoryMapEntry(FirmwareFrame frame)
    {
        uint index = frame.Ebx;
        Span<byte> entry = stackalloc byte[MemoryMap.E820EntryBytes];
        if (index >= map.Count || frame.Ecx < MemoryMap.E820EntryBytes)
        {
            frame.Finish(Unsupported);
            return;
        }

        MemoryMap.WriteE820(map[(int)index], entry);
        if (!ram.TryWrite(((ulong)frame.Es << 4) + frame.Di, entry))
        {
            frame.Finish(Unsupported);
            return;
        }

        frame.Eax = MapSignature;
        frame.Ecx = MemoryMap.E820EntryBytes;
        frame.Ebx = index + 1 == map.Count ? 0 : index + 1;
        frame.Carry = false;
    }

    // AX, CX: KiB from 1 to 16 MiB; BX, DX: 64 KiB blocks above 16 MiB.
    private void Sizes(FirmwareFrame frame)
    {
        long below16 = Math.Min(ram.LowBytes, 16 * Mebibyte) - Mebibyte;
        long above16 = Math.Max(ram.LowBytes - (16 * Mebibyte), 0);
        frame.Ax = frame.Cx = (ushort)(below16 / Kibibyte);
        frame.Bx = frame.Dx = (ushort)(above16 / (64 * Kibibyte));
        frame.Carry = false;
    }

    // CX words; ES:SI: a GDT whose entries 2 and 3 describe source and target.
    private void BlockMove(FirmwareFrame frame)
    {
        const int WordsMax = 0x8000;
        Span<byte> table = stackalloc byte[0x20];
        int lengthBytes = frame.Cx * 2;
        if (frame.Cx > WordsMax || !ram.TryRead(((ulong)frame.Es << 4) + frame.Si, table))
        {
            frame.Finish(1); // parity error: the only other failure this call has
            return;
        }

        byte[] buffer = new byte[lengthBytes]; // 64 KiB at most
        bool moved = ram.TryRead(BaseOf(table[0x10..]), buffer) && ram.TryWrite(BaseOf(table[0x18..]), buffer);
        frame.Finish(moved ? (byte)0 : (byte)1);
    }

    private static ulong BaseOf(ReadOnlySpan<byte> descriptor)
        => (BinaryPrimitives.ReadUInt32LittleEndian(descriptor[2..]) & 0xFF_FFFF) | ((ulong)descriptor[7] << 24);

    private void SetA20(bool on)
    {
        // Bit 0 resets the machine: never write it back.
        byte control = (byte)(ports.Read(ControlPort, 1) & ~(GateA20 | 1));
        ports.Write(ControlPort, 1, on ? (byte)(control | GateA20) : control);
    }
}
